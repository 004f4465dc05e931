"""ModelService: GetModelStatus and HandleReloadConfigRequest."""

from collections.abc import Callable

from absl import logging
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from serving.server.errors import invalid_argument
from serving.server.models.model_store import ModelStore


class ModelService:
    """Tells and changes which models a store serves."""

    def __init__(self, store: ModelStore):
        self._store = store

    def get_model_status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """State of the versions of a model. Raises ServingError."""
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        return self._store.status(request.model_spec)

    def handle_reload_config_request(
        self, request: model_management_pb2.ReloadConfigRequest, cancelled: Callable[[], bool]
    ) -> model_management_pb2.ReloadConfigResponse:
        """Takes over another model list and returns when its new models are available.

        Args:
          request: the list.
          cancelled: asked while it waits: True ends the waiting, the list stays taken over.

        Raises:
          ServingError: the list is refused, or all versions of a new model failed.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        names = [model.name for model in request.config.model_config_list.config]
        logging.info("Reloading config with models %s", names)
        new = self._store.configure(request.config)
        self._store.wait_until_available(new, cancelled)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response
