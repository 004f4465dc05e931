"""Is a server fit for use? `python -m serving.check --server HOST:PORT`, after every rollout.

Asks for the state of both models, embeds one person and draws frames of them, one at a time and
several at once. Prints what it saw and, as the last line, one JSON object. Exit code 1 when the
server does not do one of these; the message says which. Works with any server and model: sizes come
from the server's metadata.
"""

import time

from tf_talking import interrupts

if __name__ == "__main__":
    interrupts.catch()

import numpy as np
from absl import flags

from serving import flags as client_flags
from serving.client.blocking import CardMismatchError, TalkingHeadClient, TalkingHeadError
from serving.client.signatures import adain_size, row_shape
from serving.protocol import api
from tf_talking import program

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Only when run as a program: other programs have flags of the same names."""
    client_flags.define_server_flags()
    flags.DEFINE_string("generator", "generator", "Name of the generator to check.")
    flags.DEFINE_string("embedder", "embedder", "Name of the embedder to check.")
    flags.DEFINE_integer("frames", 16, "Frames to draw, each way.", lower_bound=1)
    flags.DEFINE_float("wait_seconds", 0.0, "How long to wait for both models.", lower_bound=0.0)
    flags.DEFINE_float("timeout", 30.0, "Deadline of each request in seconds.", lower_bound=0.001)


def check(
    client: TalkingHeadClient, generator: str = "generator", embedder: str = "embedder", frames: int = 16
) -> dict:
    """What was seen: versions, image size, median and longest times in ms, frames/s.

    Raises:
      TalkingHeadError: a request was refused, or the server's model is not available.
      CardMismatchError: a model has not the signatures of a generator or an embedder.
      ValueError: embedder and generator do not belong together, or the frames are no pictures.
    """
    served = {name: client.served(name) for name in (embedder, generator)}
    known = {name: entry.signatures for name, entry in served.items()}
    size, points = _shapes(known[embedder], embedder)
    landmarks = _ring(points, size)
    photo = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    begin = time.monotonic()
    _, adain_params = client.embed(photo, landmarks[None], model=embedder)
    embed_seconds = time.monotonic() - begin
    expected = adain_size(known[generator], generator)
    if expected not in (None, adain_params.size):
        raise ValueError(
            f"{embedder} gives {adain_params.size} adain_params, {generator} takes {expected}: "
            "were they exported from the same run?"
        )
    prints = {name: entry.fingerprint for name, entry in served.items()}
    if all(prints.values()) and len(set(prints.values())) > 1:
        raise ValueError(
            f"{embedder} version {served[embedder].version} makes adain_params for weights {prints[embedder][:12]}, "
            f"{generator} version {served[generator].version} has {prints[generator][:12]}: export both from one run"
        )

    def draw(count):
        track = [landmarks + 0.02 * size * np.sin(i) for i in range(count)]
        return list(client.animate(track, adain_params, model=generator))

    pictures, seconds = [], []
    for _ in range(frames):
        begin = time.monotonic()
        pictures += draw(1)
        seconds.append(time.monotonic() - begin)
    begin = time.monotonic()
    pictures += draw(frames)
    together = time.monotonic() - begin
    for picture in pictures:
        if picture.shape != (size, size, 3):
            raise ValueError(f"{generator}: got a frame {list(picture.shape)}, expected {[size, size, 3]}")
    return {
        "versions": {name: _available(client, name) for name in (embedder, generator)},
        "image_size": size,
        "frames": len(pictures),
        "embed_ms": round(1e3 * embed_seconds, 1),
        "frame_ms_median": round(1e3 * float(np.median(seconds)), 1),
        "frame_ms_longest": round(1e3 * max(seconds), 1),
        "frames_per_second_pipelined": round(frames / together, 1),
    }


def _shapes(signatures: dict, model: str) -> tuple[int, int]:
    """Size of the frames in pixels, and number of landmarks."""
    frames = row_shape(signatures, api.DEFAULT, "frames", model)
    landmarks = row_shape(signatures, api.DEFAULT, "landmarks", model)
    return frames[1], landmarks[1]


def _ring(points: int, size: int) -> np.ndarray:
    """Landmarks float32 [P, 2] on a circle: any finite points are a valid request."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return (size / 2 + 0.3 * size * circle).astype(np.float32)


def _available(client: TalkingHeadClient, model: str) -> list[int]:
    return [status.version for status in client.model_status(model) if status.state == "AVAILABLE"]


def main(_):
    models = (FLAGS.embedder, FLAGS.generator)
    server = client_flags.read_server()
    with TalkingHeadClient(server.target, FLAGS.timeout, tls=server.tls) as client:
        try:
            client.wait_until_ready(models, timeout=FLAGS.wait_seconds)
            for model in models:
                states = [f"{s.version} {s.state}" for s in client.model_status(model)]
                print(f"{model}: {', '.join(states)}")
            seen = check(client, FLAGS.generator, FLAGS.embedder, FLAGS.frames)
        except (TalkingHeadError, CardMismatchError, ValueError) as error:
            return program.fail(error, 1)
    print(f"{seen['frames']} frames of {seen['image_size']} px: all whole")
    return seen


if __name__ == "__main__":
    program.run(main, define_flags)
