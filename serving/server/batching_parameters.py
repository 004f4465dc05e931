"""TensorFlow Serving's BatchingParameters: read, checked, defaults filled in.

Where each comes from: `--batching_parameters_file` for all models, or `batching_params.pbtxt` in
the folder of a version (`--enable_per_model_batching_parameters`), from which everything but the
threads is taken. Rules and defaults are TensorFlow Serving's; all errors name file and field.
"""

import dataclasses
import os

from serving.server.config_protos import BatchingParameters, read_text_proto
from serving.server.errors import invalid_argument

PER_MODEL_FILE = "batching_params.pbtxt"
_INT32_MAX = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class BatchingOptions:
    """How requests are put together.

    Attributes:
      max_batch_size: rows that one request may have, and without splitting a batch, too.
      timeout_seconds: how long a batch that is not full waits for more requests.
      max_enqueued_batches: batches that may wait for a thread, of one signature of one version.
      allowed_batch_sizes: sizes that batches are padded to, increasing; () for no padding.
      splitting: whether a request may be spread over several batches.
      max_execution_batch_size: rows of a batch; less than `max_batch_size` with splitting only.
      threads: batches that are computed at the same time, of all models together.
      pool_name: label of the metrics.
    """

    max_batch_size: int = 1000
    timeout_seconds: float = 0.0
    max_enqueued_batches: int = 10
    allowed_batch_sizes: tuple[int, ...] = ()
    splitting: bool = False
    max_execution_batch_size: int = 1000
    threads: int = os.cpu_count() or 1
    pool_name: str = "model_server_batch_threads"

    def padded(self, rows: int) -> int:
        """The smallest allowed batch size that holds `rows`."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_options(path: str | os.PathLike) -> BatchingOptions:
    """Reads and checks a text proto BatchingParameters.

    Raises:
      ServingError: the file can not be read, or a field does not fit; both are named.
    """
    proto = read_text_proto(path, BatchingParameters, "batching parameters")
    try:
        return _options(proto)
    except ValueError as error:
        raise invalid_argument(f"{path}: {error}") from error


def options_of_version(
    folder: str | os.PathLike, common: BatchingOptions | None, per_model: bool
) -> BatchingOptions | None:
    """What holds for a version: `common`, or its own file's; None: its requests stay single."""
    if common is None or not per_model:
        return common
    path = os.path.join(folder, PER_MODEL_FILE)
    return read_options(path) if os.path.exists(path) else None


def _options(proto) -> BatchingOptions:
    """Raises ValueError naming the field."""
    if proto.pad_variable_length_inputs:
        raise ValueError(
            "pad_variable_length_inputs: not supported, expected false (requests of different "
            "shapes get batches of their own)"
        )
    values = {
        name: _value(proto, name, lowest)
        for name, lowest in (
            ("max_batch_size", 1),
            ("batch_timeout_micros", 0),
            ("max_enqueued_batches", 1),
            ("num_batch_threads", 1),
            ("max_execution_batch_size", 1),
        )
        if proto.HasField(name)
    }
    default = BatchingOptions()
    largest = values.get("max_batch_size", default.max_batch_size)
    splitting = proto.enable_large_batch_splitting.value
    execution = values.get("max_execution_batch_size", largest) if splitting else largest
    if execution > largest:
        raise ValueError(f"max_execution_batch_size: got {execution}, expected at most max_batch_size {largest}")
    sizes = tuple(proto.allowed_batch_sizes)
    _check_sizes(sizes, execution, splitting)
    return BatchingOptions(
        max_batch_size=largest,
        timeout_seconds=values.get("batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=values.get("max_enqueued_batches", default.max_enqueued_batches),
        allowed_batch_sizes=sizes,
        splitting=splitting,
        max_execution_batch_size=execution,
        threads=values.get("num_batch_threads", default.threads),
        pool_name=proto.thread_pool_name.value or default.pool_name,
    )


def _value(proto, name: str, lowest: int) -> int:
    value = getattr(proto, name).value
    if not lowest <= value <= _INT32_MAX:
        raise ValueError(f"{name}: got {value}, expected {lowest} to {_INT32_MAX}")
    return value


def _check_sizes(sizes: tuple[int, ...], largest: int, splitting: bool) -> None:
    if not sizes:
        return
    if sizes[0] < 1 or any(b <= a for a, b in zip(sizes, sizes[1:], strict=False)):
        raise ValueError(
            f"allowed_batch_sizes: got {list(sizes)}, entries must be positive and monotonically increasing"
        )
    if sizes[-1] != largest:
        field = "max_execution_batch_size" if splitting else "max_batch_size"
        raise ValueError(
            f"allowed_batch_sizes: last entry must match {field}; last entry was {sizes[-1]}; expected {largest}"
        )
