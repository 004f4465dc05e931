"""Photographs brought to life: `python -m training.puppeteer --photos DIR --dataset DIR …`.

The paper's figure 5. Each photo is learnt by itself (T = 1), driven by the videos of a dataset
folder, and these are ranked by CSIM, which finds people of similar geometry. Writes a report with
pictures of the best drivers, and cross.jsonl. Started again with the same flags, it goes on with
the next photo. To drive a person by a whole video, use training.finetune and serving.animate.
"""

import dataclasses
import pathlib

import keras
from absl import app, flags, logging

from tf_talking.config import config_hash
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.media.photos import frame_files, is_image
from tf_talking.metrics.available import build_metrics
from tf_talking.program import print_result
from tf_talking.spread import spread
from training import flags as content_flags
from training.evaluation import frames as evaluation_frames
from training.evaluation.cross import CrossReenactment, Driver
from training.evaluation.folder import EvaluationFolder
from training.evaluation.methods import FT, PSI, Methods
from training.evaluation.puppeteering import Puppeteering
from training.finetuning.model import PRECISIONS
from training.finetuning.start import load_to_finetune
from training.person import sources as person_source

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Only when run as a program."""
    content_flags.define_content_flags()
    flags.DEFINE_string("checkpoint", None, "Run folder of meta_train, or a checkpoint prefix.")
    flags.DEFINE_string("photos", None, "Folder of photos, a person each, or one photo.")
    flags.DEFINE_string("dataset", None, "Dataset folder with the driving videos.")
    flags.DEFINE_string("output", None, "Folder of pictures and report.")
    flags.DEFINE_string("recogniser", None, "Face recogniser: .keras, .onnx, InsightFace name.")
    flags.DEFINE_list(
        "identities", [], "Whose videos drive; default: those the run kept out of training."
    )
    flags.DEFINE_list("video_ids", [], "Driving videos by name, besides those of --identities.")
    flags.DEFINE_integer("max_drivers", 50, "Drawn at random where there are more; 0: all.", 0)
    flags.DEFINE_integer("frames", 8, "Frames taken of each driving video.", lower_bound=1)
    flags.DEFINE_integer("min_face", person_source.MIN_FACE, "Smallest face, pixels.", 1)
    flags.DEFINE_multi_enum(
        "tune",
        ["full"],
        ["full", "psi", "none"],
        "Fine-tuning of ψ and ψ', of ψ' alone, or none; repeatable.",
    )
    flags.DEFINE_integer("epochs", None, "Default: the config's (paper: 40).", lower_bound=0)
    flags.DEFINE_multi_string("override", [], "section.field=value of losses or finetune.")
    flags.DEFINE_enum(
        "mixed_precision", "float32", PRECISIONS, "Type of the activations in fine-tuning."
    )
    flags.DEFINE_integer("seed", 0, "Seed of drawn videos and of intervals.", lower_bound=0)
    flags.mark_flags_as_required(["checkpoint", "photos", "dataset", "output", "recogniser"])


def find_photos() -> list[pathlib.Path]:
    """--photos as files."""
    path = pathlib.Path(FLAGS.photos)
    if is_image(path) and path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"--photos: {path}: no such folder or photo")
    photos = frame_files(path)
    if not photos:
        raise ValueError(f"--photos: {path}: no photos here (.jpg, .png, ...)")
    return photos


def read_drivers(folder: DatasetFolder, checkpoint: str) -> list[Driver]:
    """The driving videos that the flags name, or those of people whom the run kept out."""
    identities = FLAGS.identities
    if not identities and not FLAGS.video_ids:
        identities = evaluation_frames.kept_out_identities(folder, checkpoint)
    entries = evaluation_frames.held_out_entries(
        folder, identities, FLAGS.video_ids, FLAGS.max_drivers, FLAGS.seed
    )
    return [Driver.read(folder, e, spread(e.num_frames, FLAGS.frames)) for e in entries]


def run() -> pathlib.Path:
    """The program without its exit codes. Returns the page's path."""
    photos = find_photos()
    keras.utils.set_random_seed(FLAGS.seed)
    files = content_flags.content_files()
    learned = load_to_finetune(FLAGS.checkpoint, FLAGS.override, files)
    config = learned.config
    folder = DatasetFolder.open(FLAGS.dataset)
    folder.info.check_made_for(config)
    drivers = read_drivers(folder, learned.checkpoint)
    metrics = build_metrics(
        ["csim"],
        None,
        FLAGS.recogniser,
        None,
        None,
        config.landmarks.scheme,
        config.model.image_size,
        consecutive=False,
    )
    content = files.build(config, FLAGS.mixed_precision)
    tuned = [name for name, kind in ((FT, "full"), (PSI, "psi")) if kind in FLAGS.tune]
    methods = Methods(learned, content, tuned, FLAGS.epochs, FLAGS.seed, FLAGS.mixed_precision)
    facts = {
        "checkpoint": learned.checkpoint,
        "step": learned.step,
        "config": dataclasses.asdict(config),
        "config_hash": config_hash(config),
        "dataset": FLAGS.dataset,
        "data_hash": folder.data_hash,
        "shots": [1],
        "methods": methods.names,
        "epochs": methods.epochs,
        "precision": FLAGS.mixed_precision,
        "override": FLAGS.override,
        "content": {name: network.weights_source for name, network in content.items()},
        "metric_sources": metrics.sources,
        "cross": {"drivers": [driver.video_id for driver in drivers], "frames": FLAGS.frames},
        "min_face": FLAGS.min_face,
        "seed": FLAGS.seed,
    }
    output = EvaluationFolder(FLAGS.output)
    output.start(facts)
    logging.info("%d photos, %d driving videos", len(photos), len(drivers))
    cross = CrossReenactment(config, metrics.needs["recogniser"], drivers)
    puppeteering = Puppeteering(methods, cross, facts, output)
    left_out = puppeteering.run(
        photos, lambda path: person_source.from_photos(config, str(path), 1, FLAGS.min_face)
    )
    return puppeteering.write_report(photos, left_out)


if __name__ == "__main__":
    define_flags()
    app.run(lambda argv: print_result(run, argv))
