"""Groups of flags that several programs have, and what they say as plain values."""

from absl import flags

from training.updates.content import ContentFiles

FLAGS = flags.FLAGS


def define_content_flags() -> None:
    """Defines --vgg19, --face_features and --face_weights."""
    flags.DEFINE_string(
        "vgg19",
        "auto",
        "VGG19 of the content loss: 'auto' downloads the published Keras file, a path (.h5 or "
        ".npz) reads one, 'none' leaves the term out, 'random' uses random weights (for tests).",
    )
    flags.DEFINE_enum(
        "face_features",
        None,
        ["vggface", "mobilefacenet", "none"],
        "Face network of the content loss; default: the config's.",
    )
    flags.DEFINE_string(
        "face_weights",
        "auto",
        "Weights of the face network: 'auto' downloads the published VGGFace file, or a path, or "
        "'random'.",
    )


def content_files() -> ContentFiles:
    """What --vgg19, --face_features and --face_weights say."""
    return ContentFiles(FLAGS.vgg19, FLAGS.face_features, FLAGS.face_weights)
