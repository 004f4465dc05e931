"""Loads and unloads models as a ModelServerConfig and the folders ask for.

One manager thread looks at the folders every `poll_seconds` and takes one step at a time under
TensorFlow Serving's availability-preserving policy: a version that is no longer asked for is
unloaded only when one that is asked for is available (or none is asked for), and a new version is
loaded beside the old one. A version that fails to load ends with its error and is tried again
only after its folder was gone.
"""

import threading
import time
from collections.abc import Callable

from absl import logging
from tensorflow_serving.config import model_server_config_pb2

from serving.server.errors import ServingError, from_exception
from serving.server.models import model_config
from serving.server.models.loader import Loader
from serving.server.models.versions import State, VersionTable

_WARN_SECONDS = 30  # between warnings about the same thing


class ModelStore:
    """The models of a ModelServerConfig; requests find them in `versions`.

    Args:
      loader: makes a version folder a servable.
      poll_seconds: time between looks at the folders; 0 looks once after each configuration.
      max_load_retries: further attempts at a version that fails to load.
      load_retry_seconds: time before each of them.
      allow_labels_for_unavailable: a label may name a version that is not loaded yet, unless that
        would move an existing label.
    """

    def __init__(
        self,
        loader: Loader | None = None,
        poll_seconds: float = 1.0,
        max_load_retries: int = 0,
        load_retry_seconds: float = 60.0,
        allow_labels_for_unavailable: bool = False,
    ):
        self._loader = loader or Loader()
        self._poll_seconds = poll_seconds
        self._max_load_retries = max_load_retries
        self._load_retry_seconds = load_retry_seconds
        self._allow_labels_for_unavailable = allow_labels_for_unavailable
        self.versions = VersionTable()
        self._loader.metrics.watch_versions(self.versions.states)
        self._lock = threading.Lock()  # of the three below
        self._config = model_server_config_pb2.ModelServerConfig()
        self._models: dict[str, model_server_config_pb2.ModelConfig] = {}
        self._seen: set[str] = set()  # of them, those that have been available
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._manage, name="model_store", daemon=True)

    def start(self) -> None:
        """Starts the manager thread."""
        self._thread.start()

    def close(self) -> None:
        """Stops the manager thread, frees all versions; requests that hold one are cancelled."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for name in self.versions.names():
            for number in self.versions.numbers(name, State.AVAILABLE):
                self.versions.unload(name, number)
        self.versions.interrupt()

    def configure(self, config: model_server_config_pb2.ModelServerConfig) -> set[str]:
        """Takes over a configuration; loading goes on in the manager thread.

        Returns:
          The names of the models that are new.

        Raises:
          ServingError: the configuration is not acceptable; nothing has changed.
        """
        with self._lock:
            model_config.validate(config, self._config)
            models = {m.name: m for m in config.model_config_list.config}
            labels = {name: dict(model.version_labels) for name, model in models.items()}
            self.versions.label(labels, self._allow_labels_for_unavailable)
            new = set(models) - set(self._models)
            for name in new:
                self.versions.forget_failures(name)  # of an earlier life
            self._seen &= set(models)
            self._config = model_server_config_pb2.ModelServerConfig()
            self._config.CopyFrom(config)
            self._models = models
        self._wake.set()
        return new

    def config(self) -> model_server_config_pb2.ModelServerConfig:
        """A copy of the configuration in force."""
        with self._lock:
            config = model_server_config_pb2.ModelServerConfig()
            config.CopyFrom(self._config)
            return config

    def gone(self) -> set[str]:
        """Configured models that have been available, and have no available version any more."""
        with self._lock:
            names = set(self._models)
            ready = {name for name in names if self.versions.numbers(name, State.AVAILABLE)}
            self._seen = (self._seen & names) | ready
            return self._seen - ready

    def wait_until_available(
        self, names: set[str] | None = None, cancelled: Callable[[], bool] = lambda: False
    ) -> bool:
        """Waits for models (all configured ones if None); see `VersionTable`."""
        if names is None:
            with self._lock:
                names = set(self._models)
        return self.versions.wait_until_available(names, lambda: cancelled() or self._stopping.is_set())

    # The manager thread.

    def _manage(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            with self._lock:
                models = dict(self._models)
            for name in self.versions.names():
                if name not in models:
                    self._reconcile(name, {})
            for name, model in models.items():
                aspired = model_config.aspired_versions(model)
                if aspired is None:  # the folder can not be read: what is loaded stays
                    continue
                if not aspired:
                    logging.log_every_n_seconds(
                        logging.WARNING,
                        "No versions of servable %s found under base path %s. Did you forget to "
                        "name your leaf directory as a number (eg. '/1/')?",
                        _WARN_SECONDS,
                        name,
                        model.base_path,
                    )
                self._reconcile(name, aspired)
            self._wake.wait(self._poll_seconds if self._poll_seconds > 0 else None)

    def _reconcile(self, name: str, aspired: dict[int, str]) -> None:
        """Takes steps until the model's versions are as asked; number -> folder."""
        self.versions.forget_failures(name, keep=set(aspired))
        while not self._stopping.is_set():
            ready = self.versions.numbers(name, State.AVAILABLE)
            leaving = ready - set(aspired)
            new = self.versions.untried(name, set(aspired))
            if leaving and (not aspired or ready & set(aspired) or len(leaving) > 1):
                self.versions.unload(name, min(leaving))
            elif new:
                self._load(name, max(new), aspired[max(new)])
            else:
                return

    def _load(self, name: str, number: int, path: str) -> None:
        """Loads one version, or ends it with its error."""
        self.versions.begin(name, number)
        started = time.monotonic()
        for attempt in range(self._max_load_retries + 1):
            if attempt and self._stopping.wait(self._load_retry_seconds):
                break
            try:
                result = self._loader.load(name, number, path)
                seconds = time.monotonic() - started
                logging.info("Loaded {name: %s version: %d} in %.1f s", name, number, seconds)
                break
            except Exception as error:  # this thread must outlive any model
                result = from_exception(error)
                logging.error("Loading {name: %s version: %d} failed: %s", name, number, result)
        self.versions.finish(name, number, result)
        if not isinstance(result, ServingError):
            with self._lock:  # here and not in `gone` alone, which may come when it is gone again
                self._seen.add(name)
