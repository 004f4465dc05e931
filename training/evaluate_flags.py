"""The flags of `training.evaluate`."""

from absl import flags

from tf_talking.landmarks.detectors import DETECTORS
from training import flags as content_flags
from training.evaluation import frames as evaluation_frames
from training.finetuning.model import PRECISIONS

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines every flag of the program."""
    content_flags.define_content_flags()
    flags.DEFINE_string("checkpoint", None, "Run folder of meta_train, or a checkpoint prefix.")
    flags.DEFINE_string("dataset", None, "Dataset folder with the held-out videos.")
    flags.DEFINE_string("output", None, "Folder of results and report.")
    flags.DEFINE_list(
        "identities", [], "Whose videos; default: those the run kept out of training."
    )
    flags.DEFINE_list("video_ids", [], "Videos by name, besides those of --identities.")
    flags.DEFINE_integer("max_videos", 50, "Drawn at random where there are more; 0: all.", 0)
    flags.DEFINE_list("shots", ["1", "8", "32"], "T: numbers of few-shot frames.")
    flags.DEFINE_integer("holdout_frames", 32, "Hold-out frames of each video.", lower_bound=1)
    flags.DEFINE_enum(
        "holdout_order",
        "spread",
        evaluation_frames.ORDERS,
        "Hold-out frames spread evenly over the second part of a video, or the first ones of it, "
        "which flicker needs.",
    )
    flags.DEFINE_enum(
        "few_shot_from",
        "same",
        evaluation_frames.FEW_SHOT_FROM,
        "Few-shot frames from the first part of the same video, as in the paper, or from another "
        "video of the person.",
    )
    flags.DEFINE_multi_enum(
        "tune",
        ["full"],
        ["full", "knee", "psi", "none"],
        "Fine-tuning of ψ and ψ', the same stopped at the knee, of ψ' alone, or none; repeatable.",
    )
    flags.DEFINE_integer(
        "curve_every",
        0,
        "Epochs between looks at hold-out frames while ψ and ψ' are fine-tuned; "
        "the report shows the curves. 0: none.",
        0,
    )
    flags.DEFINE_enum(
        "mixed_precision", "float32", PRECISIONS, "Type of the activations in fine-tuning."
    )
    flags.DEFINE_string(
        "study_frames", None, "Folder that the generated frames go to, for training.user_study."
    )
    flags.DEFINE_integer("epochs", None, "Default: the config's (paper: 40).", lower_bound=0)
    flags.DEFINE_multi_string("override", [], "section.field=value of losses or finetune.")
    flags.DEFINE_list("metrics", None, "Names; default: all for which there is what they need.")
    flags.DEFINE_string("inception", None, "Inception features of FID (.npz).")
    flags.DEFINE_string(
        "recogniser", None, "Face recogniser of CSIM: .keras, .onnx, InsightFace name."
    )
    flags.DEFINE_enum(
        "landmark_detector", None, DETECTORS, "Detector of the landmark error in generated frames."
    )
    flags.DEFINE_integer(
        "cross_drivers", 0, "Other people's videos that drive each person (needs --recogniser).", 0
    )
    flags.DEFINE_integer("cross_frames", 8, "Frames taken of each of them.", lower_bound=1)
    flags.DEFINE_integer(
        "seed", 0, "Seed of drawn videos, fine-tuning and intervals.", lower_bound=0
    )
    flags.mark_flags_as_required(["checkpoint", "dataset", "output"])


def read_shots() -> list[int]:
    """--shots as numbers, ascending."""
    try:
        shots = sorted({int(text) for text in FLAGS.shots})
    except ValueError:
        shots = []
    if not shots or shots[0] < 1:
        raise ValueError(f"--shots: got {','.join(FLAGS.shots)}, expected whole numbers >= 1")
    return shots
