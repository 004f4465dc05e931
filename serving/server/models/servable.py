"""One loaded version of one model: a SavedModel in a session of its own.

Loaded by the session-based loader, as TensorFlow Serving does it: a graph that needs Python code
or a custom op fails here as it would fail there.
"""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.batching_parameters import BatchingOptions
from serving.server.errors import ServingError, from_exception, invalid_argument
from serving.server.heap import release_free_memory

_TAGS = ["serve"]


class Servable:
    """A session and its signatures.

    `batching` says how its requests are put together; None: not at all. `refs` counts the
    requests that hold it; it belongs to the store, which closes a servable only when nobody
    holds it. `max_run_seconds`, where there is one, ends a run by itself: Python can not end it
    when its client goes away.
    """

    def __init__(self, name: str, version: int, path: str, config: tf.compat.v1.ConfigProto):
        """Loads.

        Raises:
          ServingError: whatever the loader complains of, with TensorFlow's code where it has one.
        """
        self.name = name
        self.version = version
        self.refs = 0
        self.batching: BatchingOptions | None = None
        self.max_run_seconds: float | None = None
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.loader.load(self._session, _TAGS, path)
        except Exception as error:  # any content of a folder may arrive here
            self.close()
            raise from_exception(error) from error
        self.signatures: dict[str, meta_graph_pb2.SignatureDef] = {}
        for key, signature in meta_graph.signature_def.items():
            self.signatures[key] = meta_graph_pb2.SignatureDef()
            self.signatures[key].CopyFrom(signature)

    def run(self, feeds: dict[str, np.ndarray], fetches: list[str], timeout: float | None) -> list[np.ndarray]:
        """Runs the graph.

        Args:
          feeds: tensor name -> value, of the dtype of the tensor.
          fetches: tensor names.
          timeout: seconds until DEADLINE_EXCEEDED; None waits.

        Raises:
          ServingError: with the code of TensorFlow's error.
        """
        limit = self.max_run_seconds
        limited = limit is not None and (timeout is None or timeout > limit)
        timeout = limit if limited else timeout
        options = None
        if timeout is not None:
            # 0 would mean no limit
            milliseconds = max(1, min(int(timeout * 1000), 2**31))
            options = tf.compat.v1.RunOptions(timeout_in_ms=milliseconds)
        try:
            return self._session.run(fetches, feeds, options=options)
        except (ValueError, TypeError) as error:  # the session's own look at the feeds
            raise invalid_argument(str(error)) from error
        except tf.errors.DeadlineExceededError as error:
            if limited:
                raise ServingError(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    f"computing took longer than {limit:g} s (flag --max_run_seconds)",
                ) from error
            raise from_exception(error) from error
        except tf.errors.OpError as error:
            raise from_exception(error) from error

    def interrupt(self) -> None:
        """Ends all runs with CANCELLED."""
        session = self._session
        if session is not None:
            session.close()

    def close(self) -> None:
        """Frees the session."""
        self._session.close()
        self._session = None
        release_free_memory()
