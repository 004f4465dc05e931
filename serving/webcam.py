"""`python -m serving.webcam --person CARD --server HOST:PORT`

A camera drives a person, live, in a window; q or Esc ends. Machines without a camera take
`--source FILE` (video, folder of frames, landmark track), machines without a display `--output
out.mp4`. A camera, or a file with `--live`, is kept up with: where the server is slower, frames
are dropped and the delay stays. A file without `--live` is drawn frame by frame. Ends with a line:
frames/s, latency, dropped landmark sets.
"""

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Callable

from tf_talking import interrupts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if __name__ == "__main__":
    interrupts.catch()

from absl import flags

from serving import flags as client_flags
from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.drive.driving import open_camera, open_driving
from serving.drive.frames import Driving
from serving.drive.live import Playback
from serving.drive.session import Report, SessionOptions, run_session
from serving.drive.sinks import Recorder, Window
from tf_talking import program
from tf_talking.people.card import PersonCard

FLAGS = flags.FLAGS


def define_flags() -> None:
    client_flags.define_server_flags()
    client_flags.define_person_flags()
    flags.DEFINE_integer("camera", 0, "Number of the camera.", lower_bound=0)
    flags.DEFINE_string("source", None, "Video, folder of frames or landmark track (.npz, .npy) for a camera.")
    client_flags.define_face_flag()
    flags.DEFINE_bool("live", False, "Play --source at its own speed and drop as a camera would.")
    flags.DEFINE_string("output", None, "Video to write (.mp4, .mov, .m4v, .mkv); without it a window is opened.")
    flags.DEFINE_bool("window", None, "Open a window; by default only without --output.")
    flags.DEFINE_integer("frames", 0, "End after so many frames; 0: not.", lower_bound=0)
    flags.DEFINE_bool("preview", False, "Show the driving frame beside the result.")
    flags.DEFINE_bool("mirror", False, "Show everything as in a mirror.")
    client_flags.define_model_flags()
    flags.DEFINE_integer("max_in_flight", 2, "Requests under way at a time.", lower_bound=1)
    flags.DEFINE_float("timeout", 30.0, "Deadline of one request, seconds.", lower_bound=0.0)
    flags.mark_flag_as_required("person")


async def run(
    connect: Callable[[], AsyncTalkingHeadClient],
    card: PersonCard,
    driving: Driving,
    options: SessionOptions,
    output: str | None,
    show: bool,
) -> Report:
    """Runs until the end, into a video, a window or both; `connect` is called in the event loop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        sinks = []
        if output:
            recorder = stack.enter_context(Recorder(output, driving.fps))
            sinks.append(recorder.write)
        if show:
            window = Window()
            stack.callback(window.close)
            sinks.append(window.show)
            keys = asyncio.create_task(window.wait_for_quit())
            keys.add_done_callback(lambda _: stop.set())
            stack.callback(keys.cancel)
        client = await stack.enter_async_context(connect())
        return await run_session(client, card, driving.frames, sinks, stop, options)


def main(argv):
    if FLAGS.source is not None and FLAGS["camera"].present:
        raise ValueError("--camera and --source: got both, expected one of them")
    if FLAGS.output:
        client_flags.check_output(FLAGS.output, FLAGS.source)
    card, _ = client_flags.load_person(FLAGS.person, FLAGS.people)
    playback = Playback() if FLAGS.source is not None and FLAGS.live else None
    if FLAGS.source is None:
        driving = open_camera(FLAGS.camera, card, FLAGS.face)
    else:
        driving = open_driving(FLAGS.source, card, pace=playback, face=FLAGS.face)
    options = SessionOptions(
        live=FLAGS.source is None or FLAGS.live,
        max_frames=FLAGS.frames,
        choice=client_flags.read_model(card),
        max_in_flight=FLAGS.max_in_flight,
        preview=FLAGS.preview,
        mirror=FLAGS.mirror,
    )
    server = client_flags.read_server()
    connect = functools.partial(AsyncTalkingHeadClient, server.target, FLAGS.timeout, tls=server.tls)
    show = not FLAGS.output if FLAGS.window is None else FLAGS.window
    report = asyncio.run(run(connect, card, driving, options, FLAGS.output, show))
    skipped = playback.skipped if playback else 0
    return f"{report}, {skipped} frames skipped before detection" if skipped else report


if __name__ == "__main__":
    program.run(main, define_flags)
