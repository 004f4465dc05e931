"""Photographs brought to life: `python -m training.puppeteer --photos DIR --dataset DIR …`.

The paper's figure 5. Each photo is learnt by itself (T = 1), driven by the videos of a dataset
folder, and these are ranked by CSIM, which finds people of similar geometry. Writes a report with
pictures of the best drivers, and cross.jsonl. Started again with the same flags, it goes on with
the next photo. To drive a person by a whole video, use training.finetune and serving.animate.
"""

import pathlib

import keras
import numpy as np
from absl import flags, logging

from tf_talking import program
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.media.photos import frame_files
from tf_talking.metrics.available import build_metrics
from training import flags as shared
from training.evaluation.cross import CrossReenactment, read_drivers
from training.evaluation.folder import EvaluationFolder
from training.evaluation.frames import held_out_entries
from training.evaluation.methods import Methods
from training.evaluation.puppeteering import Puppeteering
from training.finetuning.start import load_to_finetune
from training.person.sources import MIN_FACE, from_photos
from training.runs.recognisers import check_metric_of

FLAGS = flags.FLAGS


def define_flags() -> None:
    shared.define_learning_flags(["full", "psi", "none"])
    shared.define_video_flags()
    flags.DEFINE_string("photos", None, "Folder of photos, a person each, or one photo.")
    flags.DEFINE_integer("max_drivers", 50, "Drawn at random where there are more; 0: all.", 0)
    flags.DEFINE_integer("frames", 8, "Frames taken of each driving video.", lower_bound=1)
    flags.DEFINE_integer("min_face", MIN_FACE, "Smallest face, pixels.", 1)
    flags.mark_flags_as_required(["photos", "recogniser"])


def find_photos(path: pathlib.Path) -> list[pathlib.Path]:
    """--photos as files."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"--photos: {path}: no such folder or photo")
    photos = frame_files(path)
    if not photos:
        raise ValueError(f"--photos: {path}: no photos here (.jpg, .png, ...)")
    return photos


def main(argv: list[str]) -> pathlib.Path:
    del argv
    photos, learning, min_face = (find_photos(pathlib.Path(FLAGS.photos)), shared.learning(), FLAGS.min_face)
    keras.utils.set_random_seed(learning.seed)
    learned = load_to_finetune(FLAGS.checkpoint, learning.override, learning.content)
    check_metric_of(FLAGS.recogniser, learned, learning.content.face_weights)
    config = learned.config
    folder = DatasetFolder.open(FLAGS.dataset)
    folder.info.check_made_for(config)
    entries = held_out_entries(
        folder, FLAGS.identities, FLAGS.video_ids, FLAGS.max_drivers, learning.seed, learned.checkpoint
    )
    drivers = read_drivers(folder, [(e, np.arange(e.num_frames)) for e in entries], FLAGS.frames)
    scheme, size = config.landmarks.scheme, config.model.image_size
    metrics = build_metrics(["csim"], scheme, size, recogniser=FLAGS.recogniser)
    methods = Methods(learned, learning)
    facts = {  # what decides the results of a photo
        **methods.facts(),
        "dataset": FLAGS.dataset,
        "data_hash": folder.data_hash,
        "shots": [1],
        "metric_sources": metrics.sources,
        "cross": {"drivers": [driver.video_id for driver in drivers], "frames": FLAGS.frames},
        "min_face": min_face,
    }
    output = EvaluationFolder(FLAGS.output)
    output.start(facts)
    logging.info("%d photos, %d driving videos", len(photos), len(drivers))
    cross = CrossReenactment(config, metrics.needs["recogniser"], drivers)
    puppeteering = Puppeteering(methods, cross, facts, output)
    left_out = puppeteering.run(photos, lambda path: from_photos(config, str(path), 1, min_face))
    return puppeteering.write_report(photos, left_out)


if __name__ == "__main__":
    program.run(main, define_flags)
