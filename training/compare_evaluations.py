"""Evaluations side by side: `python -m training.compare_evaluations --evaluation NAME=DIR`, twice.

For ablations, and for checkpoints of one training: the same videos and frames, other models or
other fine-tuning. Writes compare.md and compare.html: means over the videos that all of them
finished, and for each method and T the difference of every evaluation from the first one, video by
video, with its bootstrap interval.
"""

import pathlib

from absl import flags

from tf_talking import program
from training.evaluation.comparison import Named, build
from training.evaluation.report import write_reports

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_multi_string(
        "evaluation",
        [],
        "NAME=DIR, a folder of training.evaluate; at least two, the others are compared with the first.",
    )
    flags.DEFINE_string("output", None, "Folder for compare.md and compare.html.", required=True)


def main(argv: list[str]) -> pathlib.Path:
    del argv
    output = pathlib.Path(FLAGS.output)
    blocks = build([Named.parse(text) for text in FLAGS.evaluation])
    output.mkdir(parents=True, exist_ok=True)
    return write_reports(blocks, output, "compare")


if __name__ == "__main__":
    program.run(main, define_flags)
