"""The face term of the content loss: VGGFace (the paper's), a MobileFaceNet recogniser, or none.

`mobilefacenet` is a face recogniser (MobileFaceNet trained with ArcFace) for where VGGFace's file
can not be had. It is given as a Keras file of built-in layers, 112 x 96 pixels, RGB 0..255, with
faces aligned to the usual five points. Our frames are crops around the landmarks, which puts the
face at a known place, so a fixed region is cut out and resampled instead of aligned.

FACE_REGION: the mean place of eyes, nose tip and mouth corners in 202 crops of 101 clips, made
symmetric, fitted by scale and shift to the template (38.29, 51.70) (73.53, 51.50) (56.03, 71.74)
(41.55, 92.37) (70.73, 92.20) less 8 in x; no point is off by more than 0.8 pixel. Single faces
scatter round that by about 6 pixels sideways and 3 up and down.

Activations compared, one of each resolution and the last map before the embedding:
dw_conv1_prelu 56x48x64, block4_add 28x24x64, block11_add 14x12x128, block14_add 7x6x128,
conv2_prelu 7x6x512.

FEATURE_SCALE: a recogniser's activations are of order 1, those of the Caffe networks, for which the
paper's weight 2e-3 was chosen, of order 100. Multiplied by this, two different people are 530
apart (sum over the layers; VGG19: 630), so that the weight keeps its meaning.
"""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tf_talking.content.alignment import align_faces
from tf_talking.content.folded import fold_batch_norms

FACE_HEIGHT, FACE_WIDTH = 112, 96
FACE_REGION = (0.2182, 0.1246, 0.5633, 0.6572)  # x, y, width, height as fractions of S
FEATURE_LAYERS = ("dw_conv1_prelu", "block4_add", "block11_add", "block14_add", "conv2_prelu")
FEATURE_SCALE = 100.0


def resampling_matrix(size: int, start: float, length: float, outputs: int) -> np.ndarray:
    """Linear resampling of an interval of a row of pixels as a matrix.

    A triangle filter, as wide as an output pixel where that is the larger one, so that every pixel
    of the interval takes part when it shrinks; weights that would fall outside are left out.

    Args:
      size: pixels of the row.
      start, length: interval, in pixels; pixel i covers i ... i + 1.
      outputs: number of pixels to make of it.

    Returns:
      float32 [outputs, size]; rows sum to 1.
    """
    step = length / outputs
    centres = start + (np.arange(outputs) + 0.5) * step
    distance = np.abs(np.arange(size) + 0.5 - centres[:, np.newaxis]) / max(step, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


class FaceRegion(keras.layers.Layer):
    """Cuts the face out of our crop: [B, S, S, 3] in [-1, 1] → [B, 112, 96, 3] in 0..255.

    Two matrix products: differentiable, and compiled by XLA with its gradient.
    """

    def __init__(self, image_size: int, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.image_size = image_size
        x, y, width, height = (image_size * part for part in FACE_REGION)
        self._rows = resampling_matrix(image_size, y, height, FACE_HEIGHT)
        self._columns = resampling_matrix(image_size, x, width, FACE_WIDTH)

    def call(self, image):
        face = tf.einsum("yh,bhwc->bywc", tf.constant(self._rows), image)
        face = tf.einsum("xw,bywc->byxc", tf.constant(self._columns), face)
        return (face + 1.0) * 127.5

    def get_config(self):
        return {**super().get_config(), "image_size": self.image_size}


def build_mobilefacenet(path: pathlib.Path, image_size: int) -> keras.Model:
    """A frozen model: RGB float32 [B, S, S, 3] in [-1, 1] → five activations, shallow first.

    Args:
      path: the recogniser as a `.keras` file.
      image_size: S, pixels.

    Raises:
      ValueError: the file is no Keras model, or one without the expected input or layers.
    """
    body = _read_body(path)
    image = keras.Input((image_size, image_size, 3), name="image", dtype="float32")
    face = FaceRegion(image_size, name="face_region", dtype="float32")(image)
    # Inference mode: statistics of the batch norms are part of the trained network.
    features = [feature * FEATURE_SCALE for feature in body(face, training=False)[:-1]]
    model = keras.Model(image, features, name="mobilefacenet")
    model.trainable = False
    return model


class AlignedFaces:
    """The same network on faces that their landmarks align: five activations and the embedding.

    Args:
      path: the recogniser as a `.keras` file.

    Raises:
      ValueError: as `build_mobilefacenet` does.
    """

    def __init__(self, path: pathlib.Path):
        self.body = _read_body(path)
        self.body.trainable = False

    def __call__(self, images: tf.Tensor, landmarks: tf.Tensor) -> list[tf.Tensor]:
        """RGB float32 [B, S, S, 3] in [-1, 1], landmarks [B, P, 2] → activations, embedding."""
        faces = align_faces((images + 1.0) * 127.5, landmarks, FACE_WIDTH)
        *features, embedding = self.body(faces, training=False)
        return [*(feature * FEATURE_SCALE for feature in features), embedding]


def _read_body(path: pathlib.Path) -> keras.Model:
    """Aligned faces [B, 112, 96, 3], RGB 0..255 → five activations and the embedding."""
    try:
        recogniser = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras reports damaged files by many types of exception
        raise ValueError(f"{path}: not a readable .keras model ({error})") from error
    expected = (None, FACE_HEIGHT, FACE_WIDTH, 3)
    if recogniser.input_shape != expected:
        raise ValueError(f"{path}: got input {recogniser.input_shape}, expected {expected}")
    known = {layer.name for layer in recogniser.layers}
    missing = [name for name in FEATURE_LAYERS if name not in known]
    if missing:
        raise ValueError(f"{path}: layer missing: {missing[0]}; expected a MobileFaceNet")
    outputs = [recogniser.get_layer(name).output for name in FEATURE_LAYERS]
    return fold_batch_norms(keras.Model(recogniser.input, [*outputs, recogniser.output]))
