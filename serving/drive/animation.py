"""Drives a person through a server and writes the video: `serving.animate` without its flags.

Landmarks go up, JPEG frames come back; detection and requests run at the same time.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np
from tqdm import tqdm

from serving.client.blocking import TalkingHeadClient
from serving.drive.driving import Driving, DrivingFrame
from tf_talking.landmarks.draw import drawing_of, landmark_picture
from tf_talking.media import video
from tf_talking.people.card import PersonCard


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      held: reason → number of driving frames that had no landmarks of their own.
    """

    output: pathlib.Path
    num_frames: int
    fps: float
    sound: bool
    held: dict[str, int]

    def __str__(self) -> str:
        text = f"wrote {self.output}: {self.num_frames} frames at {self.fps:g} frames/s"
        text += ", with sound" if self.sound else ", without sound"
        if self.held:
            reasons = ", ".join(f"{reason}: {n}" for reason, n in sorted(self.held.items()))
            text += f"; landmarks held in {sum(self.held.values())} frames ({reasons})"
        return text


def animate_video(
    client: TalkingHeadClient,
    card: PersonCard,
    driving: Driving,
    output: str | os.PathLike,
    model: str | None = None,
    batch_size: int = 1,
    side_by_side: bool = False,
    source: np.ndarray | None = None,
    progress: bool = False,
) -> Report:
    """Writes the video; it appears under its name when it is whole.

    Args:
      source: uint8 [S, S, 3], shown first in side-by-side mode; left out if None.
      progress: show a progress line on stderr.

    Raises:
      TalkingHeadError, ValueError: what the client, the source and the writer raise.
    """
    output = pathlib.Path(output)
    silent = output.with_name(f".{output.stem}.{os.getpid()}.silent{output.suffix}")
    pairs = _results(client, card, driving, model, batch_size)
    held: collections.Counter[str] = collections.Counter()
    count = 0
    with contextlib.ExitStack() as stack:
        stack.callback(silent.unlink, missing_ok=True)
        writer = None
        for item, result in tqdm(
            pairs, total=driving.num_frames or None, unit="frame", disable=not progress
        ):
            picture = _panels(card, item, result, source) if side_by_side else result
            if writer is None:
                size = (picture.shape[1], picture.shape[0])
                writer = stack.enter_context(video.VideoWriter(silent, driving.fps, size))
            writer.write(picture)
            count += 1
            if item.held_because:
                held[item.held_because] += 1
        if writer is None:
            raise ValueError("the driving source has no frames")
        writer.close()
        sound = driving.audio is not None and video.copy_audio(driving.audio, silent, output)
        if not sound:
            os.replace(silent, output)
    return Report(output, count, driving.fps, sound, dict(held))


def _results(
    client, card: PersonCard, driving: Driving, model: str | None, batch_size: int
) -> Iterator[tuple[DrivingFrame, np.ndarray]]:
    """(driving frame, its result); detection runs while requests are under way."""
    sent: collections.deque[DrivingFrame] = collections.deque()

    def track() -> Iterator[np.ndarray]:
        for item in driving.frames():
            sent.append(item)
            yield item.landmarks

    for result in client.animate(track(), card, model, batch_size):
        yield sent.popleft(), result


def _panels(
    card: PersonCard, item: DrivingFrame, result: np.ndarray, source: np.ndarray | None
) -> np.ndarray:
    """uint8 [S, 2..4 · S, 3]: source and driving frame, where there are such, landmarks, result."""
    drawn = landmark_picture(drawing_of(card), item.landmarks, card.image_size)
    panels = [panel for panel in (source, item.frame, drawn, result) if panel is not None]
    height, width = result.shape[:2]
    return np.concatenate([cv2.resize(panel, (width, height)) for panel in panels], axis=1)
