"""How a version folder becomes a servable that is ready for requests: load, batching, warm-up."""

import dataclasses
import time

import tensorflow as tf
from absl import logging

from serving.server.batching.parameters import BatchingOptions, options_of_version
from serving.server.errors import ServingError
from serving.server.metrics import Metrics
from serving.server.models import warmup
from serving.server.models.memory import release_free_memory
from serving.server.models.servable import Servable


@dataclasses.dataclass
class Loader:
    """Loads versions.

    Attributes:
      session: configuration of every session.
      batching: how requests are put together; None: not at all.
      per_model_batching: take that from the file in each version's folder instead.
      warmup: play the warm-up requests in the folder.
      metrics: warm-up times are counted there.
    """

    session: tf.compat.v1.ConfigProto = dataclasses.field(default_factory=tf.compat.v1.ConfigProto)
    batching: BatchingOptions | None = None
    per_model_batching: bool = False
    warmup: bool = True
    metrics: Metrics = dataclasses.field(default_factory=Metrics)

    def load(self, name: str, number: int, path: str) -> Servable:
        """Loads version `number` of model `name` from its folder.

        Raises:
          ServingError: what is wrong with the folder; files are named.
        """
        batching = options_of_version(path, self.batching, self.per_model_batching)
        servable = Servable(name, number, path, self.session)
        servable.batching = batching
        if self.warmup:
            try:
                self._warm_up(servable, path)
            except Exception:
                servable.close()
                raise
        release_free_memory()
        return servable

    def _warm_up(self, servable: Servable, path: str) -> None:
        began, status = time.monotonic(), "OK"
        try:
            records = warmup.play(servable, path)
        except ServingError as error:
            records, status = 1, error.code.name
            raise
        finally:
            seconds = time.monotonic() - began
            if records:
                self.metrics.model_warmup_latency.labels(path, status).observe(1e6 * seconds)
        if records:
            logging.info(
                "Warmed up {name: %s version: %d} with %d requests in %.1f s",
                servable.name,
                servable.version,
                records,
                seconds,
            )
