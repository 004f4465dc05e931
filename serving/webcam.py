"""`python -m serving.webcam --person CARD --server HOST:PORT`

A camera drives a person, live, in a window; q or Esc ends. Machines without a camera take
`--source FILE` (video, folder of frames, landmark track), machines without a display `--output
out.mp4`. A camera, or a file with `--live`, is kept up with: where the server is slower, frames
are dropped and the delay stays. A file without `--live` is drawn frame by frame. Ends with a line:
frames/s, latency, dropped landmark sets.
"""

import asyncio
import contextlib
import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from serving import flags as client_flags
from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.client.blocking import TalkingHeadError
from serving.drive.driving import Driving, detected_live, open_driving
from serving.drive.live import Playback, camera_frames
from serving.drive.session import Recorder, Report, Window, run_session
from tf_talking.people.card import PersonCard

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Only when run as a program: other programs have flags of the same names."""
    client_flags.define_server_flags()
    client_flags.define_person_flags()
    flags.DEFINE_integer("camera", 0, "Number of the camera.", lower_bound=0)
    flags.DEFINE_string(
        "source", None, "Video, folder of frames or landmark track (.npz, .npy) for a camera."
    )
    flags.DEFINE_bool("live", False, "Play --source at its own speed and drop as a camera would.")
    flags.DEFINE_string("output", None, "Video to write (.mp4); without it a window is opened.")
    flags.DEFINE_bool("window", None, "Open a window; by default only without --output.")
    flags.DEFINE_integer("frames", 0, "End after so many frames; 0: not.", lower_bound=0)
    flags.DEFINE_bool("preview", False, "Show the driving frame beside the result.")
    flags.DEFINE_bool("mirror", False, "Show everything as in a mirror.")
    flags.DEFINE_string("model", None, "Served model; by default the one that the card names.")
    flags.DEFINE_integer("max_in_flight", 2, "Requests under way at a time.", lower_bound=1)
    flags.DEFINE_float("timeout", 30.0, "Deadline of one request, seconds.", lower_bound=0.0)
    flags.adopt_module_key_flags(client_flags)  # so that --help shows them
    flags.mark_flag_as_required("person")


CAMERA_FPS = 25.0  # of --output


def open_source(card: PersonCard) -> tuple[Driving, Playback | None]:
    """What drives, and what plays it if it is a file that is played live."""
    if FLAGS.source is None:
        frames = lambda: detected_live(camera_frames(FLAGS.camera), card)  # noqa: E731
        return Driving(frames, CAMERA_FPS, 0), None
    playback = Playback() if FLAGS.live else None
    return open_driving(FLAGS.source, card, pace=playback), playback


async def run() -> tuple[Report, int]:
    """Runs until the end. Returns the report, and the frames skipped before detection."""
    card, _ = client_flags.load_person(FLAGS.person, FLAGS.people)
    driving, playback = open_source(card)
    live = FLAGS.source is None or FLAGS.live
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        sinks = []
        if FLAGS.output:
            recorder = stack.enter_context(Recorder(FLAGS.output, driving.fps, live))
            sinks.append(recorder.write)
        if not FLAGS.output if FLAGS.window is None else FLAGS.window:
            window = Window()
            stack.callback(window.close)
            sinks.append(window.show)
            keys = asyncio.create_task(window.wait_for_quit())
            keys.add_done_callback(lambda _: stop.set())
            stack.callback(keys.cancel)
        client = AsyncTalkingHeadClient(FLAGS.server, FLAGS.timeout, tls=client_flags.tls_options())
        await stack.enter_async_context(client)
        report = await run_session(
            client,
            card,
            driving.frames,
            sinks,
            stop=stop,
            live=live,
            max_frames=FLAGS.frames,
            model=FLAGS.model,
            max_in_flight=FLAGS.max_in_flight,
            preview=FLAGS.preview,
            mirror=FLAGS.mirror,
        )
    return report, playback.skipped if playback else 0


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    try:
        report, skipped = asyncio.run(run())
    except (OSError, ValueError, TalkingHeadError) as error:
        sys.exit(f"serving.webcam: {error}")
    print(f"{report}, {skipped} frames skipped before detection" if skipped else report)


if __name__ == "__main__":
    define_flags()
    app.run(main)
