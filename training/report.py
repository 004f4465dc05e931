"""A run as one page for people: `python -m training.report RUN`.

Writes one HTML file that needs nothing else (`report_page.py`). It reads the run folder only, so it
may be made while the run goes on, as often as one likes.
"""

import pathlib
import sys

from absl import app, flags, logging

from training.run_report.page import build_report
from training.runs.folder import write_atomically

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "The page; default: report.html in the run folder.")
flags.DEFINE_float("smoothing", 0.9, "Weight of the past in the dark curves; 0: none.", 0.0, 0.999)


def main(argv):
    if len(argv) != 2:
        raise app.UsageError("expected one run folder: python -m training.report RUN")
    run = pathlib.Path(argv[1])
    output = pathlib.Path(FLAGS.output) if FLAGS.output else run / "report.html"
    try:
        if FLAGS.output and not output.parent.is_dir():
            raise FileNotFoundError(f"--output: the folder {output.parent} does not exist")
        write_atomically(output, build_report(run, output, FLAGS.smoothing))
    except (ValueError, FileNotFoundError) as error:
        logging.error("%s", error)
        sys.exit(2)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    app.run(main)
