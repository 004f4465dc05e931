"""Frames of a person that are kept out of fine-tuning, to see when it has gone on long enough.

From several frames some are held out. One frame alone is trained on; it is then watched as it
would look mirrored, and cropped a little differently, which the generator has not seen either.
"""

import cv2
import numpy as np

from tf_talking.landmarks.mirror import mirror
from training.person.frames import PersonFrames

_SHIFT, _SCALE, _TURN = 0.06, 0.12, 8.0  # limits of a view: parts of the side, part, degrees


def views(person: PersonFrames, count: int, seed: int = 0) -> PersonFrames:
    """`count` views of the person's frames: every second one mirrored, each cropped differently.

    Moved by up to 6 % of the side, 12 % smaller or larger, turned by up to 8 degrees; the border
    is replicated, as in a crop.
    """
    rng = np.random.default_rng(seed)
    size = person.frames.shape[1]
    frames, landmarks = [], []
    for i in range(count):
        chosen = slice(i % len(person), i % len(person) + 1)
        frame, points = person.frames[chosen], person.landmarks[chosen]
        if i % 2 == 0:
            frame, points = (turned.numpy() for turned in mirror(frame, points))
        turn, scale = rng.uniform(-_TURN, _TURN), 1 + rng.uniform(-_SCALE, _SCALE)
        matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), turn, scale)
        matrix[:, 2] += rng.uniform(-_SHIFT, _SHIFT, 2) * size
        frames.append(
            cv2.warpAffine(frame[0], matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        )
        landmarks.append((points[0] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32))
    return PersonFrames(np.stack(frames), np.stack(landmarks), f"{person.source}, {count} views")


def hold_out(
    person: PersonFrames, count: int = 1, num_views: int = 4, seed: int = 0
) -> tuple[PersonFrames, PersonFrames]:
    """(frames to train on, frames to watch).

    Args:
      person: T frames.
      count: frames held out where T > 1: 1 is leave-one-out.
      num_views: views watched where T = 1; nothing is held out then.
      seed: of the choice; the first frame, which the side-by-side video shows, is always kept.

    Raises:
      ValueError: T > 1 and `count` leaves no frame to train on.
    """
    if len(person) == 1:
        return person, views(person, num_views, seed)
    if not 1 <= count < len(person):
        raise ValueError(f"count: got {count} of {len(person)} frames, expected 1 to T - 1")
    out = np.random.default_rng(seed).choice(np.arange(1, len(person)), count, replace=False)
    kept = np.setdiff1d(np.arange(len(person)), out)
    return person.some(kept), person.some(np.sort(out))
