"""Heads in pictures: detected and cropped exactly as preprocessing does it.

A frame without usable landmarks holds those of the frame before it and carries the reason.
"""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator

import numpy as np

from serving.drive.frames import DrivingFrame
from tf_talking.landmarks import crop
from tf_talking.landmarks.detector import SEVERAL_FACES, Detection
from tf_talking.landmarks.detectors import get_detector
from tf_talking.landmarks.follow import FollowedFace
from tf_talking.media.panels import scaled
from tf_talking.media.video_reader import TimedPicture, read_frames
from tf_talking.people.card import PersonCard

_CHUNK = 8  # frames that a detector gets at a time


def detected(
    pictures: Iterator[TimedPicture], card: PersonCard, name: str | os.PathLike, face: str | None = None
) -> Iterator[DrivingFrame]:
    """Every frame; those before the first face hold the landmarks of the first face.

    Args:
      pictures: closed at the end.
      card: whose detector, scheme and image size are taken.
      name: of the source, for the error.
      face: with which of several faces to begin, see `FollowedFace`.

    Raises:
      ValueError: no landmarks in any frame.
    """
    waiting: list[DrivingFrame] = []  # frames before the first face; small crops only
    last: np.ndarray | None = None
    for seconds, image, landmarks, reason in _heads(pictures, card, _CHUNK, face):
        if landmarks is not None:
            if last is None:
                yield from (dataclasses.replace(early, landmarks=landmarks) for early in waiting)
            last = landmarks
        if last is None:
            waiting.append(DrivingFrame(seconds, np.empty((0, 2), np.float32), image, reason))
        else:
            yield DrivingFrame(seconds, last, image, reason)
    if last is None:
        reasons = sorted({frame.held_because for frame in waiting})
        choice = "; face says which one" if any(reason.startswith(SEVERAL_FACES) for reason in reasons) else ""
        text = f"no landmarks in any of its {len(waiting)} frames ({', '.join(reasons)}{choice})"
        raise ValueError(f"driving {name}: {text}")


def detected_live(
    pictures: Iterator[TimedPicture], card: PersonCard, face: str | None = None
) -> Iterator[DrivingFrame]:
    """Likewise, one frame at a time; nothing is given before the first face."""
    last: np.ndarray | None = None
    for seconds, image, landmarks, reason in _heads(pictures, card, 1, face):
        last = last if landmarks is None else landmarks
        if last is not None:
            yield DrivingFrame(seconds, last, image, reason)


def crop_photo(path: str | os.PathLike, card: PersonCard) -> np.ndarray:
    """The head of a photo as the networks see it, uint8 [S, S, 3].

    Raises:
      ValueError: not a photo, or not exactly one face in it.
    """
    frame = next(read_frames(path))
    with get_detector(card.detector, card.scheme, video=False) as detector:
        image, _, reason = _crop(frame, detector.detect([frame])[0], card.image_size)
    if reason is not None:
        raise ValueError(f"{path}: {reason}, expected a photo with one face")
    return image


def _heads(pictures: Iterator[TimedPicture], card: PersonCard, chunk: int, face: str | None) -> Iterator[tuple]:
    """(seconds, and what `_crop` says) of each picture."""
    with get_detector(card.detector, card.scheme) as detector, contextlib.closing(pictures):
        detector.choose = FollowedFace(face).choose
        while batch := list(itertools.islice(pictures, chunk)):
            # A video call's pictures change their size.
            for _, same in itertools.groupby(batch, lambda picture: picture.pixels.shape):
                same = list(same)
                for picture, found in zip(same, detector.detect([p.pixels for p in same]), strict=True):
                    yield picture.seconds, *_crop(picture.pixels, found, card.image_size)


def _crop(frame: np.ndarray, found: Detection, size: int) -> tuple[np.ndarray, np.ndarray | None, str | None]:
    """(crop uint8 [S, S, 3], landmarks in its pixels or None, reason or None)."""
    head = crop.crop_face(frame, found, size)
    if not isinstance(head, str):
        return *head, None
    side = min(frame.shape[:2])  # nothing says where the head is: the middle
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return scaled(frame[top : top + side, left : left + side], size, size), None, head
