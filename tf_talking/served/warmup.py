"""What TF Serving reads beside a SavedModel: warm-up requests and batching parameters.

    <version>/assets.extra/tf_serving_warmup_requests   TFRecord of PredictionLog, uncompressed
    <version>/batching_params.pbtxt                     text proto BatchingParameters

A server replays the warm-up requests before a version becomes available, so that no person waits
for the first call of a batch size (graph optimisation, oneDNN primitives, cuDNN's search, memory).
On a GPU a batch is padded up to the next allowed size, so these sizes are all that a graph ever
sees. A graph for CPUs draws one frame after the other: it has seen every size when it has seen two,
and a padded row would be drawn for nothing, so there no sizes are prescribed.

With --enable_per_model_batching_parameters TF Serving batches the models that have a
batching_params.pbtxt, and no others. A generator has one. An embedder has none: TF Serving joins
requests along dimension 0 only, and a batch of requests of different K would fail as a whole.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tf_talking.config import Config
from tf_talking.media import jpeg
from tf_talking.networks.generator import neutral_adain_params
from tf_talking.procedural.samples import sample_face

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
BATCHING_FILE = "batching_params.pbtxt"

MAX_BATCH_SIZE = 16
# By device class. Powers of two: a batch is padded by less than its own size, and five shapes warm
# up quickly.
BATCH_SIZES = {"cpu": (1, 2), "gpu": (1, 2, 4, 8, MAX_BATCH_SIZE)}
# Frames of the one person in a request to an embedder: a single photo, and the paper's K.
FRAMES_PER_PERSON = (1, 8)


class Queue(NamedTuple):
    """How long requests of several clients wait for each other, and how many wait at most."""

    batch_timeout_micros: int  # from the first request of a batch on
    max_enqueued_batches: int  # full ones; a request behind them is refused (UNAVAILABLE)


# A CPU gains little from larger batches: nobody waits for company, and behind two full batches a
# frame would come too late. A GPU gains much, and is through with eight soon.
QUEUES = {"cpu": Queue(0, 2), "gpu": Queue(2000, 8)}

MAX_RECORDS = 1000  # TF Serving refuses a version whose file has more
FINGERPRINT = "fingerprint"  # the signature that tells which weights these are
ANIMATE_BYTES = "animate_bytes"  # the one that is for REST
_INIT_OP = "__saved_model_init_op"  # no signature for callers, though it stands among them


def write_serving_files(
    path: str | pathlib.Path, config: Config, device: str = "cpu", batch_sizes: Sequence[int] | None = None
) -> int:
    """Writes both files into a SavedModel; batching parameters only where rows can be joined.

    Args:
      path: the version folder with saved_model.pb.
      config: the config that the model was exported with.
      device: "cpu" or "gpu", what the server will compute on.
      batch_sizes: of the warm-up requests, rising; by default the device class's.

    Returns:
      the number of warm-up requests.

    Raises:
      ValueError: a signature has an input of an unknown name, `batch_sizes` do not rise, or no such
        device; names what was found and what was expected. Nothing was written then.
    """
    path = pathlib.Path(path)
    known = read_signatures(path)
    batching = batching_parameters(device, batch_sizes)
    batch_sizes = BATCH_SIZES[device] if batch_sizes is None else batch_sizes
    logs = [
        prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
        for request in warmup_requests(known, config, batch_sizes)
    ]
    if len(logs) > MAX_RECORDS:
        raise ValueError(f"{path}: {len(logs)} warm-up requests, expected at most {MAX_RECORDS}")
    target = path / WARMUP_FILE
    target.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(target)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    if not any(_has_free_frames(signature) for signature in known.values()):
        (path / BATCHING_FILE).write_text(batching)
    return len(logs)


def batching_parameters(device: str = "cpu", batch_sizes: Sequence[int] | None = None) -> str:
    """Text proto BatchingParameters of one model; threads are the server's own matter.

    Args:
      device: "cpu" or "gpu".
      batch_sizes: allowed sizes on a GPU, rising; TF Serving wants the last one to be
        max_batch_size. By default the device class's.

    Raises:
      ValueError: says what was expected.
    """
    if device not in QUEUES:
        raise ValueError(f"device: got {device!r}, expected one of {sorted(QUEUES)}")
    sizes = _checked(BATCH_SIZES[device] if batch_sizes is None else batch_sizes)
    padded = sizes if device == "gpu" else []
    queue = QUEUES[device]
    lines = [
        "# Read by TF Serving with --enable_batching --enable_per_model_batching_parameters.",
        f"batch_timeout_micros {{ value: {queue.batch_timeout_micros} }}",
        f"max_enqueued_batches {{ value: {queue.max_enqueued_batches} }}",
        f"max_batch_size {{ value: {padded[-1] if padded else MAX_BATCH_SIZE} }}",
        *(f"allowed_batch_sizes: {size}" for size in padded),
    ]
    return "\n".join(lines) + "\n"


def read_signatures(path: str | pathlib.Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Signatures of a SavedModel by name, without loading it."""
    model = saved_model_pb2.SavedModel.FromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    signatures = model.meta_graphs[0].signature_def
    return {name: signatures[name] for name in sorted(signatures) if name != _INIT_OP}


def warmup_requests(
    signatures: Mapping[str, meta_graph_pb2.SignatureDef], config: Config, batch_sizes: Sequence[int]
) -> Iterator[predict_pb2.PredictRequest]:
    """Valid requests for every signature that computes something: in every batch size, or for one
    person of every K.

    The name in model_spec is of no account: TF Serving replays a file on the version it lies in.
    """
    sizes = _checked(batch_sizes)
    for name, signature in signatures.items():
        if name in (FINGERPRINT, ANIMATE_BYTES):
            continue  # the first computes nothing, the second what `animate` does
        frames = _has_free_frames(signature)
        rows = _rows(name, signature, config)
        for leading in [(1, k) for k in FRAMES_PER_PERSON] if frames else [(b,) for b in sizes]:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "embedder" if frames else "generator"
            request.model_spec.signature_name = name
            for key, info in signature.inputs.items():
                request.inputs[key].CopyFrom(_repeated(rows[key], info, leading))
            yield request


def _checked(batch_sizes: Sequence[int]) -> list[int]:
    sizes = list(batch_sizes)
    if not sizes or sizes[0] < 1 or any(a >= b for a, b in zip(sizes, sizes[1:], strict=False)):
        raise ValueError(f"batch_sizes: got {sizes}, expected rising numbers from 1 on")
    return sizes


def _has_free_frames(signature: meta_graph_pb2.SignatureDef) -> bool:
    """Whether dimension 1 is free too: K frames of a person."""
    shapes = [info.tensor_shape.dim for info in signature.inputs.values()]
    return any(len(shape) > 1 and shape[1].size < 0 for shape in shapes)


def _rows(name: str, signature: meta_graph_pb2.SignatureDef, config: Config) -> dict[str, np.ndarray | None]:
    """One row of each input; None where a single 0 stands for all numbers."""
    photo, points = sample_face(config, whole_photo="images" in signature.inputs)
    rows = {
        "images": np.asarray(jpeg.encode(photo), object),
        "frames": photo,
        "landmarks": points,
        "landmark_images": None,  # nothing drawn: a few bytes instead of a picture for each row
        "adain_params": neutral_adain_params(config.model),
    }
    unknown = sorted(set(signature.inputs) - set(rows))
    if unknown:
        raise ValueError(
            f"signature {name!r}: no warm-up value is known for the inputs {unknown}, expected some of {sorted(rows)}"
        )
    return rows


def _repeated(
    row: np.ndarray | None, info: meta_graph_pb2.TensorInfo, leading: tuple[int, ...]
) -> tensor_pb2.TensorProto:
    """The row [B] or [B, K] times."""
    if row is None:
        shape = [dim.size for dim in info.tensor_shape.dim[len(leading) :]]
        return tf.make_tensor_proto(0, info.dtype, [*leading, *shape])
    return tf.make_tensor_proto(np.broadcast_to(row, (*leading, *row.shape)), info.dtype)
