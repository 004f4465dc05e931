"""People in whom MediaPipe finds a face: painted ones, any number of them, and a real one."""

import functools
import pathlib
from collections.abc import Iterable

import cv2
import numpy as np
import skimage.data

from tf_talking.media.video_writer import VideoWriter
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import Identity, render_raw


@functools.cache
def painted(person: int, count: int = 12, side: int = 256) -> tuple[np.ndarray, ...]:
    """The first frames of a painted person who turns and talks, uint8 [side, side, 3] RGB.

    The face takes a third of the side; under 224 pixels it is too small for preprocessing.
    """
    identity = Identity.sample(person)
    return tuple(render_raw(identity, pose, side)[0] for pose in pose_track((person, 0), count))


@functools.cache
def portrait(side: int = 256) -> np.ndarray:
    """A photo of Eileen Collins (NASA, public domain, comes with scikit-image): uint8 RGB.

    Half of it is face, of a woman who looks a little to her right.
    """
    head = skimage.data.astronaut()[40:220, 135:315]
    return cv2.resize(head, (side, side), interpolation=cv2.INTER_CUBIC if side > len(head) else cv2.INTER_AREA)


def film(path: pathlib.Path, pictures: Iterable[np.ndarray]) -> pathlib.Path:
    """Writes a video, 25 pictures a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path) as writer:
        for picture in pictures:
            writer.write(picture)
    return path
