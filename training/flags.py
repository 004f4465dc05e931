"""Groups of flags that several programs have, and what they say as plain values."""

from absl import flags

from training.evaluation.methods import Learning
from training.evaluation.names import KINDS
from training.finetuning.model import PRECISIONS
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
        "Weights of the face network: 'auto' downloads the published VGGFace file, or a path, or 'random'.",
    )


def content_files() -> ContentFiles:
    """What --vgg19, --face_features and --face_weights say."""
    return ContentFiles(FLAGS.vgg19, FLAGS.face_features, FLAGS.face_weights)


def define_learning_flags(tune: list[str]) -> None:
    """Defines what `learning` reads, and --checkpoint. `tune`: what --tune may be."""
    define_content_flags()
    flags.DEFINE_string("checkpoint", None, "Run folder of meta_train, or a checkpoint prefix.")
    flags.DEFINE_multi_enum(
        "tune",
        ["full"],
        tune,
        "Fine-tuning of ψ and ψ' (full), the same stopped at the knee, of ψ' alone (psi), or none; repeatable.",
    )
    flags.DEFINE_integer("epochs", None, "Default: the config's (paper: 40).", lower_bound=0)
    flags.DEFINE_multi_string("override", [], "section.field=value of losses or finetune.")
    flags.DEFINE_enum("mixed_precision", "float32", PRECISIONS, "Type of the activations in fine-tuning.")
    flags.DEFINE_integer("seed", 0, "Seed of drawn videos, fine-tuning and intervals.", lower_bound=0)
    flags.mark_flag_as_required("checkpoint")


def learning() -> Learning:
    """How people are learnt, as the flags say."""
    return Learning(
        tuned=[method for method, kind in KINDS.items() if kind in FLAGS.tune],
        epochs=FLAGS.epochs,
        precision=FLAGS.mixed_precision,
        seed=FLAGS.seed,
        override=FLAGS.override,
        content=content_files(),
    )


def define_video_flags() -> None:
    """Defines whose videos an evaluation takes, what recognises people in them, where it writes."""
    flags.DEFINE_string("dataset", None, "Dataset folder with the videos.")
    flags.DEFINE_string("output", None, "Folder of results and report.")
    flags.DEFINE_list("identities", [], "Whose videos; default: those the run kept out of training.")
    flags.DEFINE_list("video_ids", [], "Videos by name, besides those of --identities.")
    flags.DEFINE_string("recogniser", None, "Face recogniser of CSIM: .keras, .onnx, InsightFace name.")
    flags.mark_flags_as_required(["dataset", "output"])
