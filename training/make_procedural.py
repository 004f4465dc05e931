"""Writes a dataset of procedural people: `python -m training.make_procedural --output DIR`.

Person number k looks the same in every dataset, so that datasets of different people follow from
--first_identity; --seed chooses how they move. Run again, it makes only the videos that are
missing; with a larger --num_identities it adds people.
"""

import pathlib

from absl import app, flags, logging

from tf_talking import program
from tf_talking.dataset.writer import only_writer
from tf_talking.procedural.folder import list_jobs, make_dataset, open_writer, write_raw_video

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "Dataset folder; created, or continued where it exists.")
    flags.DEFINE_integer("num_identities", 300, "People.", lower_bound=1)
    flags.DEFINE_integer("first_identity", 0, "Number of the first person.", lower_bound=0)
    flags.DEFINE_integer("videos_per_identity", 1, "Videos of each person.", 1, 1000)
    flags.DEFINE_integer("frames_per_video", 24, "Frames, at 25 a second.", lower_bound=1)
    flags.DEFINE_integer("image_size", 64, "Side of the cropped frames, pixels.", lower_bound=16)
    flags.DEFINE_integer("seed", 0, "Chooses how the people move.", 0, 1_000_000)
    flags.DEFINE_integer("workers", 0, "Processes; 0: one for each core.", lower_bound=0)
    flags.DEFINE_string("video", None, "Also write the first person's first video, uncropped (.mp4).")


def main(argv: list[str]) -> None:
    if not FLAGS.output and not FLAGS.video:
        raise app.UsageError("nothing to do: give --output DIR, --video FILE.mp4 or both")
    first, frames = FLAGS.first_identity, FLAGS.frames_per_video
    if FLAGS.output:
        people = range(first, first + FLAGS.num_identities)
        jobs = list_jobs(people, FLAGS.videos_per_identity, frames, FLAGS.image_size, FLAGS.seed)
        with only_writer(FLAGS.output):
            made = make_dataset(open_writer(FLAGS.output, FLAGS.image_size), jobs, FLAGS.workers)
        logging.info("%s: %d new videos, %d were there", FLAGS.output, made, len(jobs) - made)
    if FLAGS.video:
        path = pathlib.Path(FLAGS.video)
        write_raw_video(path, first, frames, FLAGS.seed * 1000)
        logging.info("wrote %s", path)


if __name__ == "__main__":
    program.run(main, define_flags)
