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

import dataclasses
import pathlib

import keras
from absl import app, flags, logging

from tf_talking.config import config_hash
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.metrics.available import EvaluationMetrics, build_metrics
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.program import print_result
from training import evaluate_flags
from training import flags as content_flags
from training.evaluation import frames as evaluation_frames
from training.evaluation.cross import CrossReenactment, read_drivers
from training.evaluation.folder import EvaluationFolder
from training.evaluation.frames import VideoFrames
from training.evaluation.methods import FT, KNEE, PSI, Methods, Watching
from training.evaluation.run import Evaluation
from training.finetuning.start import load_to_finetune
from training.runs.folder import read_run_facts

# Of the metrics, those for the curves of fine-tuning.
WATCHED = ("l1", "face_l1", "ssim", "csim", "landmark_error")

FLAGS = flags.FLAGS
evaluate_flags.define_flags()
for module in (evaluate_flags, content_flags):
    flags.adopt_module_key_flags(module)  # so that --help lists them


def open_dataset(config) -> DatasetFolder:
    """--dataset, after a look at whether it was made for this model."""
    folder = DatasetFolder.open(FLAGS.dataset)
    folder.info.check_made_for(config)
    return folder


def load_metrics(config) -> EvaluationMetrics:
    """The metrics that the flags ask for."""
    vgg19 = FLAGS.vgg19
    if vgg19 in ("none", "random") or (vgg19 == "auto" and not config.losses.content_vgg19):
        vgg19 = None  # random features measure nothing; no download for a metric alone
    return build_metrics(
        FLAGS.metrics,
        FLAGS.inception,
        FLAGS.recogniser,
        vgg19,
        FLAGS.landmark_detector,
        config.landmarks.scheme,
        config.model.image_size,
        FLAGS.holdout_order == "consecutive",
    )


def load_cross(
    config, folder: DatasetFolder, videos: list[VideoFrames], metrics: EvaluationMetrics
) -> CrossReenactment | None:
    """The drivers of cross-reenactment, where it is asked for."""
    if not FLAGS.cross_drivers:
        return None
    if "csim" not in metrics.names:
        raise ValueError("--cross_drivers: drivers are ranked by CSIM, which needs --recogniser")
    if len({video.entry.identity for video in videos}) < 2:
        raise ValueError("--cross_drivers: got videos of one person only, expected at least two")
    drivers = read_drivers(folder, videos, FLAGS.cross_drivers, FLAGS.cross_frames, FLAGS.seed)
    return CrossReenactment(config, metrics.needs["recogniser"], drivers)


def describe_training(learned: MetaLearned, videos: list[VideoFrames]) -> dict:
    """What the report says about the model's budget, and whether these people are new to it."""
    run = read_run_facts(learned.checkpoint)
    config, held_out = learned.config, None
    if run:
        excluded = set(run.get("excluded_identities", []))
        held_out = {video.entry.identity for video in videos} <= excluded
        if not held_out:
            logging.warning("some of these identities were not kept out of the training")
    return {
        "batch_size": config.train.batch_size,
        "k_shot": config.train.k_shot,
        "num_videos": run.get("num_videos"),
        "start_from": run.get("start_from"),
        "held_out": held_out,
    }


def describe(
    learned: MetaLearned,
    folder: DatasetFolder,
    methods: Methods,
    metrics: EvaluationMetrics,
    content: dict,
    cross: CrossReenactment | None,
) -> dict:
    """What decides the results of a video, for evaluation.json and the result lines."""
    return {
        "checkpoint": learned.checkpoint,
        "step": learned.step,
        "config": dataclasses.asdict(learned.config),
        "config_hash": config_hash(learned.config),
        "dataset": FLAGS.dataset,
        "data_hash": folder.data_hash,
        "shots": evaluate_flags.read_shots(),
        "holdout_frames": FLAGS.holdout_frames,
        "holdout_order": FLAGS.holdout_order,
        "few_shot_from": FLAGS.few_shot_from,
        "methods": methods.names,
        "epochs": methods.epochs,
        "precision": FLAGS.mixed_precision,
        "curve_every": FLAGS.curve_every,
        "override": FLAGS.override,
        "before_equals_ff": learned.config.finetune.adain_init == "projected",
        "content": {name: network.weights_source for name, network in content.items()},
        "metrics": metrics.names,
        "metric_sources": metrics.sources,
        "metrics_left_out": metrics.left_out,
        "cross": {
            "drivers": [driver.video_id for driver in cross.drivers] if cross else [],
            "frames": FLAGS.cross_frames,
        },
        "seed": FLAGS.seed,
    }


def run() -> pathlib.Path:
    """The program without its exit codes."""
    shots = evaluate_flags.read_shots()
    keras.utils.set_random_seed(FLAGS.seed)
    files = content_flags.content_files()
    learned = load_to_finetune(FLAGS.checkpoint, FLAGS.override, files)
    folder = open_dataset(learned.config)
    identities = FLAGS.identities
    if not identities and not FLAGS.video_ids:
        identities = evaluation_frames.kept_out_identities(folder, learned.checkpoint)
    entries = evaluation_frames.held_out_entries(
        folder, identities, FLAGS.video_ids, FLAGS.max_videos, FLAGS.seed
    )
    videos, left_out = evaluation_frames.split_videos(
        entries, shots, FLAGS.holdout_frames, FLAGS.holdout_order, FLAGS.few_shot_from
    )
    for video_id, reason in left_out.items():
        logging.warning("%s is left out: %s", video_id, reason)
    metrics = load_metrics(learned.config)
    for name, reason in metrics.left_out.items():
        logging.warning("%s is not measured: %s", name, reason)
    content = files.build(learned.config, FLAGS.mixed_precision)
    kinds = ((FT, "full"), (KNEE, "knee"), (PSI, "psi"))
    tuned = [name for name, kind in kinds if kind in FLAGS.tune]
    watched = [name for name in WATCHED if name in metrics.names]
    watching = Watching(watched, metrics.needs, FLAGS.curve_every)
    methods = Methods(
        learned, content, tuned, FLAGS.epochs, FLAGS.seed, FLAGS.mixed_precision, watching
    )
    cross = load_cross(learned.config, folder, videos, metrics)
    facts = describe(learned, folder, methods, metrics, content, cross)
    output = EvaluationFolder(FLAGS.output)
    output.start(facts)
    facts["training"] = describe_training(learned, videos)  # the videos may change
    logging.info("%d videos, T = %s, methods %s", len(videos), shots, ", ".join(methods.names))
    study = pathlib.Path(FLAGS.study_frames) if FLAGS.study_frames else None
    evaluation = Evaluation(learned.config, folder, methods, metrics, facts, output, cross, study)
    evaluation.run(videos)
    metrics.close()
    return evaluation.write_results(videos, left_out)


if __name__ == "__main__":
    app.run(lambda argv: print_result(run, argv))
