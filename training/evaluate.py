"""Self-reenactment of held-out people (paper section 4):

    python -m training.evaluate --checkpoint RUN --dataset DIR --output OUT \
        --inception inception.npz --recogniser recogniser.keras --vgg19 vgg19.npz

For each held-out video and each T of --shots: few-shot learning from T frames, then every method
draws the hold-out frames from their landmarks. Writes results.jsonl, report.md and report.html.
Killed and started again with the same flags, it goes on with the next video.
With --cross_drivers, people are also driven by others, who are ranked by CSIM.
Held-out are the identities that the run kept out of training, or those of --identities and
--video_ids.
"""

import pathlib

import keras
import numpy as np
from absl import flags, logging

from tf_talking import program
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.landmarks.detectors import DETECTORS
from tf_talking.metrics.available import EvaluationMetrics, build_metrics
from tf_talking.networks.meta_learned import MetaLearned
from training import flags as shared
from training.evaluation.cross import CrossReenactment, read_drivers
from training.evaluation.folder import EvaluationFolder
from training.evaluation.frames import FEW_SHOT_FROM, ORDERS, VideoFrames, held_out_entries, split_videos
from training.evaluation.methods import Methods, Watching
from training.evaluation.run import Evaluation
from training.finetuning.start import load_to_finetune
from training.runs.recognisers import check_metric_of
from training.runs.seen_people import read_seen_people, read_training_facts

# Of the metrics, those for the curves of fine-tuning.
WATCHED = ("l1", "face_l1", "ssim", "csim", "landmark_error")

FLAGS = flags.FLAGS


def define_flags() -> None:
    shared.define_learning_flags(["full", "knee", "psi", "none"])
    shared.define_video_flags()
    flags.DEFINE_integer("max_videos", 50, "Drawn at random where there are more; 0: all.", 0)
    flags.DEFINE_list("shots", ["1", "8", "32"], "T: numbers of few-shot frames.")
    flags.DEFINE_integer("holdout_frames", 32, "Hold-out frames of each video.", lower_bound=1)
    flags.DEFINE_enum(
        "holdout_order",
        "spread",
        ORDERS,
        "Hold-out frames spread evenly over the second part of a video, or the first ones of it, which flicker needs.",
    )
    flags.DEFINE_enum(
        "few_shot_from",
        "same",
        FEW_SHOT_FROM,
        "Few-shot frames from the first part of the same video, as in the paper, or from another video of the person.",
    )
    flags.DEFINE_integer(
        "curve_every",
        0,
        "Epochs between looks at hold-out frames while ψ and ψ' are fine-tuned; the report shows the curves. 0: none.",
        0,
    )
    flags.DEFINE_string("study_frames", None, "Folder that the generated frames go to, for training.user_study.")
    flags.DEFINE_list("metrics", None, "Names; default: all for which there is what they need.")
    flags.DEFINE_string("inception", None, "Inception features of FID (.npz).")
    flags.DEFINE_enum("landmark_detector", None, DETECTORS, "Detector of the landmark error in generated frames.")
    flags.DEFINE_integer("cross_drivers", 0, "Other people's videos that drive each person (needs --recogniser).", 0)
    flags.DEFINE_integer("cross_frames", 8, "Frames taken of each of them.", lower_bound=1)


def read_shots(texts: list[str]) -> list[int]:
    """--shots as numbers, ascending."""
    try:
        shots = sorted({int(text) for text in texts})
    except ValueError:
        shots = []
    if not shots or shots[0] < 1:
        raise ValueError(f"--shots: got {','.join(texts)}, expected whole numbers >= 1")
    return shots


def load_metrics(config) -> EvaluationMetrics:
    """The metrics that the flags ask for."""
    vgg19 = FLAGS.vgg19
    if vgg19 in ("none", "random") or (vgg19 == "auto" and not config.losses.content_vgg19):
        vgg19 = None  # random features measure nothing; no download for a metric alone
    return build_metrics(
        FLAGS.metrics,
        config.landmarks.scheme,
        config.model.image_size,
        inception=FLAGS.inception,
        recogniser=FLAGS.recogniser,
        vgg19=vgg19,
        landmark_detector=FLAGS.landmark_detector,
        consecutive=FLAGS.holdout_order == "consecutive",
    )


def reason_of(argument: str) -> str:
    """Why a metric is not measured that needs this argument."""
    if argument == "consecutive":
        return "it needs --holdout_order=consecutive"
    return f"--{argument} is not given"


def load_cross(
    config, folder: DatasetFolder, videos: list[VideoFrames], metrics: EvaluationMetrics
) -> CrossReenactment | None:
    """The drivers of cross-reenactment, where it is asked for: hold-out frames of some videos."""
    if not FLAGS.cross_drivers:
        return None
    if "csim" not in metrics.names:
        raise ValueError("--cross_drivers: drivers are ranked by CSIM, which needs --recogniser")
    if len({video.entry.identity for video in videos}) < 2:
        raise ValueError("--cross_drivers: got videos of one person only, expected at least two")
    drawn = np.random.default_rng(FLAGS.seed).permutation(len(videos))[: FLAGS.cross_drivers]
    drawn = [(videos[i].entry, videos[i].holdout) for i in sorted(drawn)]
    drivers = read_drivers(folder, drawn, FLAGS.cross_frames)
    return CrossReenactment(config, metrics.needs["recogniser"], drivers)


def describe_training(learned: MetaLearned, videos: list[VideoFrames]) -> dict:
    """What the report says about the model's budget, and whether these people are new to it."""
    run, config = read_training_facts(learned.checkpoint), learned.config
    identities = {video.entry.identity for video in videos}
    held_out = read_seen_people(learned.checkpoint).kept_out(identities)
    if held_out is None and run and not run.get("start_from"):
        # Of a run without people.json, whose own data they are.
        held_out = identities <= set(run.get("excluded_identities", [])) or None
    if held_out is False:
        logging.warning("some of these identities were not kept out of the training")
    return {
        "batch_size": config.train.batch_size,
        "k_shot": config.train.k_shot,
        "num_videos": run.get("num_videos"),
        "start_from": run.get("start_from"),
        "held_out": held_out,
    }


def main(argv: list[str]) -> pathlib.Path:
    del argv
    shots, learning = read_shots(FLAGS.shots), shared.learning()
    keras.utils.set_random_seed(learning.seed)
    learned = load_to_finetune(FLAGS.checkpoint, learning.override, learning.content)
    check_metric_of(FLAGS.recogniser, learned, learning.content.face_weights)
    folder = DatasetFolder.open(FLAGS.dataset)
    folder.info.check_made_for(learned.config)
    entries = held_out_entries(
        folder, FLAGS.identities, FLAGS.video_ids, FLAGS.max_videos, learning.seed, learned.checkpoint
    )
    videos, left_out = split_videos(entries, shots, FLAGS.holdout_frames, FLAGS.holdout_order, FLAGS.few_shot_from)
    for video_id, reason in left_out.items():
        logging.warning("%s is left out: %s", video_id, reason)
    metrics = load_metrics(learned.config)
    not_measured = {name: reason_of(argument) for name, argument in metrics.left_out.items()}
    for name, reason in not_measured.items():
        logging.warning("%s is not measured: %s", name, reason)
    watched = [name for name in WATCHED if name in metrics.names]
    methods = Methods(learned, learning, Watching(watched, metrics.needs, FLAGS.curve_every))
    cross = load_cross(learned.config, folder, videos, metrics)
    facts = {  # what decides the results of a video
        **methods.facts(),
        "dataset": FLAGS.dataset,
        "data_hash": folder.data_hash,
        "shots": shots,
        "holdout_frames": FLAGS.holdout_frames,
        "holdout_order": FLAGS.holdout_order,
        "few_shot_from": FLAGS.few_shot_from,
        "curve_every": FLAGS.curve_every,
        "before_equals_ff": learned.config.finetune.adain_init == "projected",
        "metrics": metrics.names,
        "metric_sources": metrics.sources,
        "metrics_left_out": not_measured,
        "cross": {
            "drivers": [driver.video_id for driver in cross.drivers] if cross else [],
            "frames": FLAGS.cross_frames,
        },
    }
    output = EvaluationFolder(FLAGS.output)
    output.start(facts)
    training = describe_training(learned, videos)  # not among them: the videos may change
    logging.info("%d videos, T = %s, methods %s", len(videos), shots, ", ".join(methods.names))
    study = pathlib.Path(FLAGS.study_frames) if FLAGS.study_frames else None
    evaluation = Evaluation(learned.config, folder, methods, metrics, facts, output, cross, study)
    evaluation.run(videos)
    metrics.close()
    return evaluation.write_results(videos, left_out, training)


if __name__ == "__main__":
    program.run(main, define_flags)
