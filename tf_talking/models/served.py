"""The served graph: an embedder and a generator as SavedModels of TensorFlow's own ops.

Basics: spectral norm is folded into the kernels (K/σ once, at export), the landmark image is
drawn in the graph by the rasteriser that training uses, ψ is an explicit input. So one generator
serves everybody who was not fine-tuned, and rows of a batch may be different people.

    embedder   serving_default  frames uint8 [B,K,S,S,3], landmarks float32 [B,K,P,2]
                                → embedding float32 [B,N], adain_params float32 [B,L]
    generator  serving_default  landmark_images uint8 [B,S,S,3], adain_params → frames uint8
               animate          landmarks float32 [B,P,2], adain_params → frames_jpeg string [B]

Conventions: RGB, NHWC, landmarks (x, y) in pixels of the S×S frame.
"""

import dataclasses
import json
import pathlib

import keras
import tensorflow as tf

from tf_talking.config import Config, config_hash
from tf_talking.landmarks.scheme import get_scheme
from tf_talking.layers.spectral_norm import spectral_layers
from tf_talking.models.embedder import Embedder
from tf_talking.models.generator import Generator
from tf_talking.models.images import landmark_images, to_float, to_uint8

METADATA_FILE = "assets.extra/tf_talking.json"


def fold_spectral_norm(source: keras.Model, skip: keras.layers.Layer | None = None) -> list:
    """Trainable weights of `source` in order, each normalised kernel as K/σ.

    Args:
      source: a network with spectral norm.
      skip: a part of it that is left out (P, for a generator that is sent ψ).
    """
    layer_of = {id(layer.kernel): layer for layer in spectral_layers(source)}
    skipped = {id(v) for v in skip.trainable_weights} if skip is not None else set()
    folded = []
    for weight in source.trainable_weights:
        if id(weight) in skipped:
            continue
        layer = layer_of.get(id(weight))
        folded.append(weight if layer is None else layer.normalized_kernel())
    return folded


def folded_generator(generator: Generator) -> Generator:
    """A copy without spectral norm and without P that draws the same frames."""
    copy = Generator(generator.config, spectral_norm=False, with_projection=False)
    weights = fold_spectral_norm(generator, skip=generator.projection)
    for target, value in zip(copy.trainable_weights, weights, strict=True):
        target.assign(value)
    return copy


def folded_embedder(embedder: Embedder) -> Embedder:
    """A copy without spectral norm that gives the same embedding."""
    copy = Embedder(embedder.config, spectral_norm=False)
    for target, value in zip(
        copy.trainable_weights, fold_spectral_norm(embedder), strict=True
    ):
        target.assign(value)
    return copy


def save_embedder(
    path: str | pathlib.Path, config: Config, embedder: Embedder, generator: Generator
) -> None:
    """Writes the embedder SavedModel: E, the mean over K (eq. 7) and P."""
    size, points = config.model.image_size, get_scheme(config.landmarks.scheme).num_points
    module = tf.Module()
    module.embedder = _weights_of(network := folded_embedder(embedder))
    module.kernel = tf.Variable(generator.projection.normalized_kernel(), trainable=False)
    module.bias = tf.Variable(generator.projection.bias, trainable=False)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, size, size, 3], tf.uint8, name="frames"),
            tf.TensorSpec([None, None, points, 2], tf.float32, name="landmarks"),
        ]
    )
    def serving_default(frames, landmarks):
        tf.debugging.assert_equal(
            tf.shape(frames)[:2], tf.shape(landmarks)[:2], "frames and landmarks: B and K differ"
        )
        landmarks = _finite(landmarks)
        embedding = network.embed(to_float(frames), landmark_images(config, landmarks))
        adain_params = tf.matmul(embedding, module.kernel) + module.bias
        return {"embedding": embedding, "adain_params": adain_params}

    _save(path, config, module, {"serving_default": serving_default}, "embedder")


def save_generator(
    path: str | pathlib.Path, config: Config, generator: Generator, jpeg_quality: int = 95
) -> None:
    """Writes a generator SavedModel, shared or one person's own.

    Args:
      path: the version folder, which must not exist.
      config: the config `generator` was built with.
      generator: with or without P, with or without spectral norm.
      jpeg_quality: 1 to 100, of the `animate` signature.
    """
    size, points = config.model.image_size, get_scheme(config.landmarks.scheme).num_points
    network = folded_generator(generator)
    module = tf.Module()
    module.generator = _weights_of(network)
    drawn = tf.TensorSpec([None, size, size, 3], tf.uint8, name="landmark_images")
    psi = tf.TensorSpec([None, config.model.adain_size], tf.float32, name="adain_params")

    @tf.function(input_signature=[drawn, psi])
    def serving_default(landmark_images, adain_params):
        return {"frames": to_uint8(network(to_float(landmark_images), adain_params))}

    @tf.function(
        input_signature=[tf.TensorSpec([None, points, 2], tf.float32, name="landmarks"), psi]
    )
    def animate(landmarks, adain_params):
        images = landmark_images(config, _finite(landmarks))
        frames = to_uint8(network(images, adain_params))
        encode = lambda frame: tf.io.encode_jpeg(frame, quality=jpeg_quality)  # noqa: E731
        return {"frames_jpeg": tf.map_fn(encode, frames, fn_output_signature=tf.string)}

    signatures = {"serving_default": serving_default, "animate": animate}
    _save(path, config, module, signatures, "generator")


def _weights_of(network: keras.Model) -> list[tf.Variable]:
    # The variables alone: tracking the Keras model would trace and save its call methods too.
    return list(network.weights)


def _finite(landmarks: tf.Tensor) -> tf.Tensor:
    """Fails the request with INVALID_ARGUMENT instead of drawing NaN somewhere."""
    return tf.debugging.check_numerics(landmarks, "landmarks: a value is not finite")


def _save(path, config: Config, module: tf.Module, signatures: dict, kind: str) -> None:
    path = pathlib.Path(path)
    tf.saved_model.save(module, str(path), signatures=signatures)
    facts = {
        "kind": kind,
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
