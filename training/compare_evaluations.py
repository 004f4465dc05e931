"""Evaluations side by side: `python -m training.compare_evaluations --evaluation NAME=DIR`, twice.

For ablations, and for checkpoints of one training: the same videos and frames, other models or
other fine-tuning. Writes compare.md and compare.html: means over the videos that all of them
finished, and for each method and T the difference of every evaluation from the first one, video by
video, with its bootstrap interval.
"""

import pathlib

from absl import app, flags

from tf_talking.program import print_result
from training.evaluation.comparison import Named, build
from training.evaluation.report import write_reports
from training.runs.folder import write_atomically

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "evaluation",
    [],
    "NAME=DIR, a folder of training.evaluate; at least two, the others are "
    "compared with the first.",
)
flags.DEFINE_string("output", None, "Folder for compare.md and compare.html.", required=True)


def run() -> pathlib.Path:
    """The program without its exit codes. Returns the page's path."""
    blocks = build([Named.parse(text) for text in FLAGS.evaluation])
    output = pathlib.Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    write_reports(blocks, output, write_atomically, "compare")
    return output / "compare.html"


if __name__ == "__main__":
    app.run(lambda argv: print_result(run, argv))
