"""The served graph: an embedder and a generator as SavedModels of TensorFlow's own ops.

Basics: the networks are frozen (see `frozen`: the same arithmetic in fewer operations), the
landmark image is drawn in the graph by the rasteriser that training uses, ψ is an explicit input.
So one generator serves everybody who was not fine-tuned, and rows of a batch may be different
people. On a CPU the rows of a batch are computed one after the other, on a GPU together.

    embedder   serving_default  frames uint8 [B,K,S,S,3], landmarks float32 [B,K,P,2]
                                → embedding float32 [B,N], adain_params float32 [B,L]
               embed_jpeg       images string [B,K], JPEG or PNG, see `photo_crops` for limits,
                                landmarks float32 [B,K,P,2] in pixels of the photo → the same
    generator  serving_default  landmark_images uint8 [B,S,S,3], adain_params → frames uint8
               animate          landmarks float32 [B,P,2], adain_params → frames_jpeg string [B]
               animate_bytes    the same for REST → frames_jpeg_bytes, which it sends as base64
    both       fingerprint      rows int32 [B] → one output, whose name is sha256_ and the
                                fingerprint of the generator that ψ belongs to: GetModelMetadata
                                tells it to clients

Conventions: RGB, NHWC, landmarks (x, y) in pixels of the S×S frame; at most `MAX_ROWS` frames drawn
and `MAX_FRAMES` embedded at a time. Beside each SavedModel:
metadata (`assets.extra/tf_talking.json`), warm-up requests and batching parameters (`warmup`).
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_talking.config import Config, config_hash
from tf_talking.landmarks.scheme import get_scheme
from tf_talking.metrics.psnr import psnr
from tf_talking.networks import borrowed_identity
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.fingerprints import fingerprint
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.procedural.samples import sample_landmarks
from tf_talking.served.frozen import FrozenEmbedder, FrozenGenerator, get_rule
from tf_talking.served.photo_crops import crop_photo, decode_photo
from tf_talking.served.warmup import ANIMATE_BYTES, FINGERPRINT, write_serving_files

METADATA_FILE = "assets.extra/tf_talking.json"
# Of one request, or of a batch of requests. A few bytes can claim any number of rows, and every one
# of them is drawn: what nobody needs is refused before anything is decoded or computed.
MAX_ROWS = 256  # frames to draw
MAX_FRAMES = 512  # frames or photos to embed, B·K
_FRAMES_AT_ONCE = 2
_SAMPLES = 4  # frames that two precisions are compared on
_IDENTICAL = 100.0  # dB, for frames without any difference


def save_embedder(
    path: str | pathlib.Path,
    config: Config,
    embedder: Embedder,
    generator: Generator,
    device: str = "cpu",
    batch_sizes: Sequence[int] | None = None,
) -> None:
    """Writes the embedder SavedModel: E, the mean over K (eq. 7) and P, in float32.

    Args:
      path: the version folder, which must not exist.
      config: the config that both networks were built with.
      embedder: E.
      generator: with P.
      device: "cpu" or "gpu", see `frozen.Rule`.
      batch_sizes: of the warm-up requests; by default the device class's.
    """
    size, points = config.model.image_size, get_scheme(config.landmarks.scheme).num_points
    network, kernel = FrozenEmbedder(embedder, device), generator.projection.normalized_kernel()
    lender = borrowed_identity.build_recogniser(config.model.borrowed_identity)
    kernel, bias = kernel.numpy(), generator.projection.bias.numpy()

    def vectors(frames, landmarks):
        """uint8 [N, S, S, 3], float32 [N, P, 2] → [N, 512]."""
        return network(to_float(frames), landmark_images(config, landmarks))

    @tf.function(autograph=False)
    def embed(frames, landmarks):
        shape = tf.shape(frames)
        rows = tf.reshape(frames, [-1, size, size, 3]), tf.reshape(landmarks, [-1, points, 2])
        spec = tf.TensorSpec([config.model.embedding_size], tf.float32)
        found = _by_rows(vectors, rows, spec, device)
        found = tf.reshape(found, [shape[0], shape[1], config.model.embedding_size])
        person = embedding = tf.reduce_mean(found, axis=1)
        if lender:
            spec = tf.TensorSpec([lender.output_shape[-1]], tf.float32)
            known = _by_rows(lambda *row: borrowed_identity.recognise(lender, *row), rows, spec, device)
            known = tf.reshape(known, [shape[0], shape[1], lender.output_shape[-1]])
            person = borrowed_identity.person_vector(embedding, known)
        return {"embedding": embedding, "adain_params": tf.matmul(person, kernel) + bias}

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, None, size, size, 3], tf.uint8, name="frames"),
            tf.TensorSpec([None, None, points, 2], tf.float32, name="landmarks"),
        ],
    )
    def serving_default(frames, landmarks):
        with tf.control_dependencies([_same_rows(frames, landmarks, "frames", 2), _some_frames(landmarks)]):
            return embed(tf.identity(frames), _finite(landmarks, "landmarks"))

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, None], tf.string, name="images"),
            tf.TensorSpec([None, None, points, 2], tf.float32, name="landmarks"),
        ],
    )
    def embed_jpeg(images, landmarks):
        shape = tf.shape(images)
        with tf.control_dependencies([_same_rows(images, landmarks, "images", 2), _some_frames(landmarks)]):
            landmarks = _finite(landmarks, "landmarks")
        frames, moved = tf.map_fn(
            lambda row: crop_photo(decode_photo(row[0]), row[1], size),
            (tf.reshape(images, [-1]), tf.reshape(landmarks, [-1, points, 2])),
            fn_output_signature=(tf.TensorSpec([size, size, 3], tf.uint8), tf.TensorSpec([points, 2], tf.float32)),
            parallel_iterations=1,  # a photo may take a few hundred megabytes
        )
        frames = tf.reshape(frames, [shape[0], shape[1], size, size, 3])
        return embed(frames, tf.reshape(moved, [shape[0], shape[1], points, 2]))

    signatures = {"serving_default": serving_default, "embed_jpeg": embed_jpeg}
    facts = {
        "kind": "embedder",
        "dtype": "float32",
        "device": device,
        "fingerprint": fingerprint(generator),
        "embedder_fingerprint": fingerprint(embedder),
    }
    _save(path, config, signatures, facts, batch_sizes, lender)


def save_generator(
    path: str | pathlib.Path,
    config: Config,
    generator: Generator,
    jpeg_quality: int = 95,
    device: str = "cpu",
    dtype: str = "float32",
    adain_params: np.ndarray | None = None,
    batch_sizes: Sequence[int] | None = None,
) -> None:
    """Writes a generator SavedModel, shared or one person's own.

    Args:
      path: the version folder, which must not exist.
      config: the config `generator` was built with.
      generator: with or without P, with or without spectral norm.
      jpeg_quality: 1 to 100, of the `animate` signature.
      device: "cpu" or "gpu", see `frozen.Rule`.
      dtype: of the activations: float32, bfloat16 or float16. For the latter two the metadata
        gets `psnr_to_float32`, dB between the frames of both types.
      adain_params: ψ of people to measure that with, float32 [N, L]; by default a neutral one.
      batch_sizes: of the warm-up requests and the batching parameters; by default the device
        class's.
    """
    size, points = config.model.image_size, get_scheme(config.landmarks.scheme).num_points
    network = FrozenGenerator(generator, device, dtype)
    facts = {"kind": "generator", "dtype": dtype, "device": device, "jpeg_quality": jpeg_quality}
    facts["fingerprint"] = fingerprint(generator)
    if dtype != "float32":
        exact = FrozenGenerator(generator, device)
        facts["psnr_to_float32"] = psnr_between(network, exact, config, adain_params)
    drawn = tf.TensorSpec([None, size, size, 3], tf.uint8, name="landmark_images")
    psi = tf.TensorSpec([None, config.model.adain_size], tf.float32, name="adain_params")

    @tf.function(autograph=False)
    def render(images, adain_params):
        """Both signatures call this one, so that the weights are stored once."""
        return to_uint8(network(images, adain_params))

    @tf.function(autograph=False, input_signature=[drawn, psi])
    def serving_default(landmark_images, adain_params):
        with tf.control_dependencies(
            [_same_rows(landmark_images, adain_params, "landmark_images"), _few_rows(adain_params)]
        ):
            rows = tf.identity(landmark_images), _finite(adain_params, "adain_params")
        draw = lambda images, adain_params: render(to_float(images), adain_params)  # noqa: E731
        spec = tf.TensorSpec([size, size, 3], tf.uint8)
        return {"frames": _by_rows(draw, rows, spec, device)}

    def draw_jpeg(landmarks, adain_params):
        frames = render(landmark_images(config, landmarks), adain_params)
        encode = lambda frame: tf.io.encode_jpeg(frame, quality=jpeg_quality)  # noqa: E731
        if frames.shape[0] == 1:
            return encode(frames[0])[tf.newaxis]
        return tf.map_fn(encode, frames, fn_output_signature=tf.string)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, points, 2], tf.float32, name="landmarks"), psi])
    def animate(landmarks, adain_params):
        with tf.control_dependencies([_same_rows(landmarks, adain_params, "landmarks"), _few_rows(adain_params)]):
            rows = _finite(landmarks, "landmarks"), _finite(adain_params, "adain_params")
        return {"frames_jpeg": _by_rows(draw_jpeg, rows, tf.TensorSpec([], tf.string), device)}

    @tf.function(autograph=False, input_signature=animate.input_signature)
    def animate_bytes(landmarks, adain_params):
        return {"frames_jpeg_bytes": animate(landmarks, adain_params)["frames_jpeg"]}

    signatures = {"serving_default": serving_default, "animate": animate, ANIMATE_BYTES: animate_bytes}
    _save(path, config, signatures, facts, batch_sizes)


def read_metadata(path: str | pathlib.Path) -> dict:
    """What `assets.extra/tf_talking.json` of a version folder says; {} where there is none."""
    file = pathlib.Path(path) / METADATA_FILE
    return json.loads(file.read_text()) if file.is_file() else {}


def psnr_between(first: Callable, second: Callable, config: Config, adain_params: np.ndarray | None = None) -> float:
    """Mean PSNR in dB between the frames of two generators, on turning painted faces.

    Args:
      first, second: called as a generator.
      config: of both.
      adain_params: ψ of people, float32 [N, L]; by default one neutral one.
    """
    if adain_params is None:
        adain_params = neutral_adain_params(config.model)[np.newaxis]
    landmarks = sample_landmarks(config, _SAMPLES)
    values = []
    for index, points in enumerate(landmarks):
        drawn = landmark_images(config, tf.constant(points[np.newaxis]))
        row = tf.constant(adain_params[index % len(adain_params)][np.newaxis])
        frames = [to_uint8(network(drawn, row)).numpy() for network in (first, second)]
        values.append(min(float(psnr(*frames)[0]), _IDENTICAL))
    return round(float(np.mean(values)), 2)


def _tell(print_: str) -> Callable:
    """A signature that is there for its output's name, and gives it for every row as well."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int32, name="rows")])
    def tell(rows):
        return {f"sha256_{print_}": tf.fill(tf.shape(rows), print_)}

    return tell


def _by_rows(function: Callable, rows: tuple, spec: tf.TensorSpec, device: str) -> tf.Tensor:
    """function of whole tensors [B, …], a row at a time where the device's rule says so."""
    if not get_rule(device).frame_by_frame:
        return function(*rows)
    return tf.map_fn(
        lambda row: function(*(tensor[tf.newaxis] for tensor in row))[0],
        rows,
        fn_output_signature=spec,
        # One frame is drawn and encoded, in one thread each, while the other one convolves.
        parallel_iterations=_FRAMES_AT_ONCE,
    )


def _same_rows(first, second, name: str, rank: int = 1) -> tf.Operation:
    other = "landmarks" if rank == 2 else "adain_params"
    message = f"{name} and {other}: different numbers of rows"
    return tf.debugging.assert_equal(tf.shape(first)[:rank], tf.shape(second)[:rank], message)


def _few_rows(rows: tf.Tensor) -> tf.Operation:
    return tf.debugging.assert_less_equal(
        tf.shape(rows)[0], MAX_ROWS, f"adain_params: more than {MAX_ROWS} rows in one request or batch"
    )


def _some_frames(landmarks: tf.Tensor) -> tf.Operation:
    """At least one frame a person; B·K held down, and B too where K is 0."""
    people, frames = tf.unstack(tf.shape(landmarks, tf.int64)[:2])
    message = f"landmarks: expected [B, K, ...] with K of at least 1 and B·K of at most {MAX_FRAMES}"
    # Each by itself too: the product of two large numbers may be anything.
    fits = (frames >= 1) & (frames <= MAX_FRAMES) & (people <= MAX_FRAMES) & (people * frames <= MAX_FRAMES)
    return tf.debugging.Assert(fits, [message, people, frames])


def _finite(values: tf.Tensor, name: str) -> tf.Tensor:
    """Fails the request with INVALID_ARGUMENT instead of drawing NaN somewhere."""
    return tf.debugging.check_numerics(values, f"{name}: a value is not finite")


def _save(
    path,
    config: Config,
    signatures: dict,
    facts: dict,
    batch_sizes: Sequence[int] | None,
    lender: keras.Model | None = None,
) -> None:
    path, module = pathlib.Path(path), tf.Module()
    signatures = signatures | {FINGERPRINT: _tell(facts["fingerprint"])}
    module.lender = lender  # its variables are saved with it; all other weights are constants
    tf.saved_model.save(module, str(path), signatures=signatures)
    facts |= {
        "config_hash": config_hash(config),
        "image_size": config.model.image_size,
        "embedding_size": config.model.embedding_size,
        "adain_size": config.model.adain_size,
        "landmarks": dataclasses.asdict(config.landmarks),
        "config": config.name,
    }
    # TF Serving ignores assets.extra but for its warm-up file, so people can read this there.
    metadata = path / METADATA_FILE
    metadata.parent.mkdir(parents=True, exist_ok=True)
    metadata.write_text(json.dumps(facts, indent=2) + "\n")
    write_serving_files(path, config, facts["device"], batch_sizes)
