"""A run as one page for people: `python -m training.report RUN`.

Writes one HTML file that needs nothing else (`run_report/page.py`). It reads the run folder only,
so it may be made while the run goes on, as often as one likes.
"""

import pathlib

from absl import app, flags

from tf_talking import program
from tf_talking.files import write_whole
from training.run_report.page import build_report

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "The page; default: report.html in the run folder.")
    flags.DEFINE_float("smoothing", 0.9, "Weight of the past in the dark curves; 0: none.", 0.0, 0.999)


def main(argv: list[str]) -> str:
    if len(argv) != 2:
        raise app.UsageError("expected one run folder: python -m training.report RUN")
    run = pathlib.Path(argv[1])
    output = pathlib.Path(FLAGS.output) if FLAGS.output else run / "report.html"
    if FLAGS.output and not output.parent.is_dir():
        raise FileNotFoundError(f"--output: the folder {output.parent} does not exist")
    write_whole(output, build_report(run, output, FLAGS.smoothing))
    return f"{output}: {output.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    program.run(main, define_flags, arguments=True)
