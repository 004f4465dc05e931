"""Drives a person through a server and writes the video: `serving.animate` without its flags.

Landmarks go up, JPEG frames come back; detection and requests run at the same time.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from serving.client.blocking import TalkingHeadClient
from serving.client.frame_requests import choice_of
from serving.client.messages import ModelChoice
from serving.drive.frames import Driving, DrivingFrame
from tf_talking.landmarks.draw import drawing_of, landmark_picture
from tf_talking.media.panels import beside
from tf_talking.media.video_writer import VideoWriter
from tf_talking.people.card import PersonCard


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      fps: frames per second, on average.
      sound_problem: what is wrong with the sound, one line; None: nothing.
      held: reason -> number of driving frames that had no landmarks of their own.
      damage: what of the driving source could not be read, a line each.
    """

    output: pathlib.Path
    num_frames: int
    fps: float
    sound: bool
    sound_problem: str | None
    held: dict[str, int]
    damage: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"wrote {self.output}: {self.num_frames} frames at {self.fps:g} frames/s"
        text += ", with sound" if self.sound else ", without sound"
        if self.sound_problem:
            text += f" ({self.sound_problem})"
        if self.held:
            reasons = ", ".join(f"{reason}: {n}" for reason, n in sorted(self.held.items()))
            text += f"; landmarks held in {sum(self.held.values())} frames ({reasons})"
        if self.damage:
            text += f"; of what drives: {'; '.join(self.damage)}"
        return text


def animate_video(
    client: TalkingHeadClient,
    card: PersonCard,
    driving: Driving,
    output: str | os.PathLike,
    choice: ModelChoice | None = None,
    batch_size: int = 1,
    side_by_side: bool = False,
    source: np.ndarray | None = None,
    progress: bool = False,
) -> Report:
    """Writes the video; it appears under its name when it is whole.

    Args:
      choice: model and version that draw; None: the newest version of the card's model.
      side_by_side: show source and driving frame, where there are such, landmarks, result.
      source: uint8 [S, S, 3], shown first in side-by-side mode; left out if None.
      progress: show a progress line on stderr.

    Raises:
      TalkingHeadError, ValueError: what the client, the source and the writer raise.
    """
    held: collections.Counter[str] = collections.Counter()
    pairs = _results(client, card, driving, choice or choice_of(card), batch_size)
    total = driving.num_frames or None
    with VideoWriter(output, driving.fps, driving.audio) as writer:
        for item, picture in tqdm(pairs, total=total, unit="frame", disable=not progress):
            if side_by_side:
                drawn = landmark_picture(drawing_of(card), item.landmarks, card.image_size)
                picture = beside([source, item.frame, drawn, picture])
            writer.write(picture, item.seconds)
            if item.held_because:
                held[item.held_because] += 1
    return Report(
        writer.path,
        writer.num_frames,
        driving.fps,
        writer.has_sound,
        writer.sound_problem,
        dict(held),
        tuple(driving.damage),
    )


def _results(
    client, card: PersonCard, driving: Driving, choice: ModelChoice, batch_size: int
) -> Iterator[tuple[DrivingFrame, np.ndarray]]:
    """(driving frame, its result); detection runs while requests are under way."""
    sent: collections.deque[DrivingFrame] = collections.deque()

    def track() -> Iterator[np.ndarray]:
        for item in driving.frames():
            sent.append(item)
            yield item.landmarks

    frames = client.animate(track(), card, choice.model, batch_size, version=choice.version, label=choice.label)
    for result in frames:
        yield sent.popleft(), result
