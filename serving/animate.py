"""`python -m serving.animate --person CARD --driving VIDEO --server HOST:PORT --output out.mp4`

Lets a video, a folder of frames, a landmark track or a video of a dataset folder drive a person,
through a server. Landmarks go up, JPEG frames come back; the result is H.264 with the driving
video's speed and sound. `--side_by_side` shows source, driving frame, landmarks and result.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags

from serving import flags as client_flags
from serving.client.blocking import TalkingHeadClient, TalkingHeadError
from serving.drive.animation import animate_video
from serving.drive.driving import crop_photo, open_driving
from tf_talking.media.photos import read_photo
from tf_talking.people.card import PersonCard

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Only when run as a program: other programs have flags of the same names."""
    client_flags.define_server_flags()
    client_flags.define_person_flags()
    flags.DEFINE_string(
        "driving",
        None,
        "Video file, folder of frames, landmark track (.npz, .npy) or dataset folder (--video_id).",
    )
    flags.DEFINE_string("video_id", None, "Which video of a dataset folder drives.")
    flags.DEFINE_string("output", None, "Video to write (.mp4).")
    flags.DEFINE_string("model", None, "Served model; by default the one that the card names.")
    flags.DEFINE_string(
        "detector",
        None,
        "Detector of the driving landmarks; by default the card's. Must be the same.",
    )
    flags.DEFINE_bool("side_by_side", False, "Show source, driving, landmarks and result.")
    flags.DEFINE_string(
        "source", None, "Photo for --side_by_side; by default the picture beside the person card."
    )
    flags.DEFINE_integer("batch_size", 1, "Frames in one request.", lower_bound=1)
    flags.DEFINE_integer("max_in_flight", 4, "Requests under way at a time.", lower_bound=1)
    flags.DEFINE_float("timeout", 60.0, "Deadline of one request, seconds.", lower_bound=0.0)
    flags.adopt_module_key_flags(client_flags)  # so that --help shows them
    flags.mark_flags_as_required(["person", "driving", "output"])


def source_picture(card: PersonCard, path: pathlib.Path) -> np.ndarray | None:
    """The person's own face for side-by-side: --source, else what fine-tuning left there."""
    if FLAGS.source:
        return crop_photo(FLAGS.source, card)
    beside = path.with_suffix(".png")
    return read_photo(beside) if beside.is_file() else None


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    try:
        card, path = client_flags.load_person(FLAGS.person, FLAGS.people)
        driving = open_driving(FLAGS.driving, card, FLAGS.detector, FLAGS.video_id)
        source = source_picture(card, path) if FLAGS.side_by_side else None
        with TalkingHeadClient(
            FLAGS.server,
            FLAGS.timeout,
            max_in_flight=FLAGS.max_in_flight,
            tls=client_flags.tls_options(),
        ) as client:
            report = animate_video(
                client,
                card,
                driving,
                FLAGS.output,
                FLAGS.model,
                FLAGS.batch_size,
                FLAGS.side_by_side,
                source,
                progress=True,
            )
    except (OSError, ValueError, TalkingHeadError) as error:
        sys.exit(f"serving.animate: {error}")
    print(report)


if __name__ == "__main__":
    define_flags()
    app.run(main)
