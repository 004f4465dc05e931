"""`python -m serving.animate --person CARD --driving VIDEO --server HOST:PORT --output out.mp4`

Lets a video, a folder of frames, a landmark track or a video of a dataset folder drive a person,
through a server. Landmarks go up, JPEG frames come back; the result is H.264 in which every picture
stands when it stood in the driving video, with its sound. `--side_by_side` shows source, driving
frame, landmarks and result.
"""

import os
import pathlib

from tf_talking import interrupts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if __name__ == "__main__":
    interrupts.catch()

import numpy as np
from absl import flags

from serving import flags as client_flags
from serving.client.blocking import TalkingHeadClient
from serving.drive.animation import animate_video
from serving.drive.driving import open_driving
from serving.drive.heads import crop_photo
from tf_talking import program
from tf_talking.media.photos import read_photo
from tf_talking.people.card import PersonCard

FLAGS = flags.FLAGS


def define_flags() -> None:
    client_flags.define_server_flags()
    client_flags.define_person_flags()
    flags.DEFINE_string(
        "driving", None, "Video file, folder of frames, landmark track (.npz, .npy) or dataset folder (--video_id)."
    )
    flags.DEFINE_string("video_id", None, "Which video of a dataset folder drives.")
    flags.DEFINE_string("output", None, "Video to write (.mp4, .mov, .m4v, .mkv).")
    client_flags.define_model_flags()
    flags.DEFINE_string(
        "detector",
        None,
        "Detector that made the driving landmarks, where the source does not say so; it must be "
        "the card's, which is the default.",
    )
    client_flags.define_face_flag()
    flags.DEFINE_bool("side_by_side", False, "Show source, driving, landmarks and result.")
    flags.DEFINE_string("source", None, "Photo for --side_by_side; by default the picture beside the person card.")
    flags.DEFINE_integer("batch_size", 1, "Frames in one request.", lower_bound=1)
    flags.DEFINE_integer("max_in_flight", 4, "Requests under way at a time.", lower_bound=1)
    flags.DEFINE_float("timeout", 60.0, "Deadline of one request, seconds.", lower_bound=0.0)
    flags.mark_flags_as_required(["person", "driving", "output"])


def source_picture(photo: str | None, card: PersonCard, path: pathlib.Path) -> np.ndarray | None:
    """The person's own face for side-by-side: --source, else what fine-tuning left there."""
    if photo:
        return crop_photo(photo, card)
    beside = path.with_suffix(".png")
    return read_photo(beside) if beside.is_file() else None


def main(argv):
    if FLAGS.source and not FLAGS.side_by_side:
        raise ValueError("--source is shown by --side_by_side only, which is not given")
    client_flags.check_output(FLAGS.output, FLAGS.driving)
    server = client_flags.read_server()
    card, path = client_flags.load_person(FLAGS.person, FLAGS.people)
    choice = client_flags.read_model(card)
    driving = open_driving(FLAGS.driving, card, FLAGS.detector, FLAGS.video_id, face=FLAGS.face)
    source = source_picture(FLAGS.source, card, path) if FLAGS.side_by_side else None
    with TalkingHeadClient(server.target, FLAGS.timeout, max_in_flight=FLAGS.max_in_flight, tls=server.tls) as client:
        return animate_video(
            client, card, driving, FLAGS.output, choice, FLAGS.batch_size, FLAGS.side_by_side, source, progress=True
        )


if __name__ == "__main__":
    program.run(main, define_flags)
