"""Videos and landmarks that drive."""

import pathlib

import av
import numpy as np

from tests.serving.client_helpers import POINTS


def face(x: float, y: float, size: float) -> np.ndarray:
    """68 points on a circle: not a face, but landmarks with a box."""
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    return (np.stack([np.cos(angles), np.sin(angles)], 1) * size / 2 + (x, y)).astype(np.float32)


def write_clip(path: pathlib.Path, num_frames=10, fps=10, sound=False) -> pathlib.Path:
    """A grey 96x64 video; `sound` adds a second of a 440 Hz tone as AAC."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("aac", rate=16000) if sound else None
        for index in range(num_frames):
            image = np.full((64, 96, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
        if sound:
            samples = np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000).astype(np.float32)
            for start in range(0, 16000, 1000):
                frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1000], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path
