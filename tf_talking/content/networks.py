"""The frozen networks that the content loss compares frames with, by name, from weight files.

    networks = build_content_networks("auto", "vggface", "auto", image_size=256)
    features = networks["vgg19"](images)  # float32 [B, S, S, 3] in [-1, 1] → list of activations

The names are the ends of the loss terms' names: "vgg19" and "face". A network's `weights_source`
says where its weights came from, for the run's log.
"""

import dataclasses
import pathlib

import keras
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.content import face_features, vgg
from tf_talking.content import weights as content_weights
from tf_talking.content.face_cut import FaceCutOut

_RANDOM = "random"
_PUBLISHED = {"vgg19": content_weights.VGG19_FILE, "vggface": content_weights.VGGFACE_FILE}


@dataclasses.dataclass(frozen=True)
class ContentNetwork:
    """A frozen feature network. Calling it gives a list of activations, shallow first.

    One that aligns faces or cuts them out takes their landmarks too; the first gives the
    embedding last.
    """

    name: str
    model: keras.Model | face_features.AlignedFaces | FaceCutOut
    weights_source: str  # path and sha256 prefix, or "random"

    def __call__(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> list[tf.Tensor]:
        """float32 [B, S, S, 3] in [-1, 1] → list of [B, h, w, c] in the network's precision."""
        if landmarks is not None:
            return self.model(images, landmarks)
        return list(self.model(images, training=False))


def build_content_networks(
    vgg19: str | None,
    face: str,
    face_weights: str | None = None,
    vgg_layers: str = "five",
    vgg_pooling: str = "max",
    image_size: int = 256,
    precision: str = "float32",
    cut_face: bool = False,
) -> dict[str, ContentNetwork]:
    """Builds the networks of L_CNT (paper section 3.4).

    Args:
      vgg19: "auto" (published file, downloaded), a path (.h5, .npz), "random" (on request only),
        "none" or None to leave the network out.
      face: "vggface", "mobilefacenet" or "none".
      face_weights: for vggface as `vgg19`, None being "auto"; for mobilefacenet the path of a
        `.keras` file, which is not published anywhere as such.
      vgg_layers: "five" or "all", of both VGGs.
      vgg_pooling: "max" or "average", of both VGGs.
      image_size: S, pixels.
      precision: type of the activations of both VGGs; a MobileFaceNet stays float32.
      cut_face: VGGFace sees the face, cut out of the frame by its landmarks.

    Returns:
      "vgg19" and "face" → network, without those left out.

    Raises:
      ValueError: an unknown choice, or a file of another layout.
      FileNotFoundError: no file; says what to download and where to put it.
    """
    if face not in ("vggface", "mobilefacenet", "none"):
        raise ValueError(f"face_features: got {face!r}, expected 'vggface', 'mobilefacenet' or 'none'")
    networks = {}
    if vgg19 not in (None, "none"):
        networks["vgg19"] = _build_vgg(vgg.VGG19, vgg19, "vgg19", image_size, vgg_layers, vgg_pooling, precision)
    if face == "vggface":
        networks["face"] = _build_vgg(
            vgg.VGGFACE, face_weights or "auto", "face_weights", image_size, vgg_layers, vgg_pooling, precision
        )
        if cut_face:
            networks["face"] = dataclasses.replace(networks["face"], model=FaceCutOut(networks["face"].model))
    elif face == "mobilefacenet":
        networks["face"] = _build_mobilefacenet(face_weights, image_size)
    return networks


def content_networks_of(
    config: Config, vgg19: str, face_weights: str | None, precision: str = "float32"
) -> dict[str, ContentNetwork]:
    """The networks that have a weight in `config.losses`; see `build_content_networks`."""
    losses = config.losses
    # The recogniser that compares identities sees aligned faces, once for both terms.
    aligned = losses.content_identity > 0
    networks = build_content_networks(
        vgg19=vgg19 if losses.content_vgg19 else None,
        face=losses.face_features if losses.content_face and not aligned else "none",
        face_weights=face_weights,
        vgg_layers=losses.vgg_layers,
        vgg_pooling=losses.vgg_pooling,
        image_size=config.model.image_size,
        precision=precision,
        cut_face=losses.face_is_cut_out,
    )
    if aligned:
        path = _recogniser_file(face_weights)
        source = content_weights.describe(path)
        model = face_features.AlignedFaces(path)
        networks["identity"] = ContentNetwork("mobilefacenet", model, source)
    return networks


def _build_vgg(
    spec: vgg.VGGSpec, weights: str, field: str, image_size: int, layers: str, pooling: str, precision: str
) -> ContentNetwork:
    model = vgg.build_vgg(spec, image_size, layers, pooling, precision)
    shapes = {conv.name: conv.shape for conv in vgg.vgg_plan(spec, layers)}
    if weights == _RANDOM:
        values, source = content_weights.random_conv_weights(shapes, field), _RANDOM
    else:
        path = content_weights.locate(weights, _PUBLISHED[spec.name], field)
        values = content_weights.read_conv_weights(path, shapes)
        source = content_weights.describe(path)
    vgg.set_conv_weights(model, values)
    return ContentNetwork(spec.name, model, source)


def _build_mobilefacenet(weights: str | None, image_size: int) -> ContentNetwork:
    path = _recogniser_file(weights)
    model = face_features.build_mobilefacenet(path, image_size)
    return ContentNetwork("mobilefacenet", model, content_weights.describe(path))


def _recogniser_file(weights: str | None) -> pathlib.Path:
    if weights in (None, "auto", _RANDOM):
        raise ValueError(
            f"face_weights: got {weights!r}, expected the path of a .keras file: a MobileFaceNet "
            "brings its architecture along and is neither downloaded nor made up"
        )
    return content_weights.existing_file(weights, "face_weights", "expected a .keras file")
