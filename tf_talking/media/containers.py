"""Opening video and sound files, and the times that stand in them. No TensorFlow."""

import os
import pathlib

import av

from tf_talking.media import photos

_JITTER = 0.1  # seconds that a time may lie before the one before it without being a new beginning


def open_container(path: pathlib.Path) -> av.container.InputContainer:
    """Opens a file with pictures or sound.

    Raises:
      ValueError: no such file, empty, or not one that FFmpeg knows.
    """
    photos.check_file(path)
    try:
        # Absolute: a name such as "concat:x.mp4" is no protocol then.
        return av.open(os.path.abspath(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: not a video, or a corrupt one: {error.strerror}") from None


class Timeline:
    """Times of the items of a stream, as they come, on a line that never goes back.

    Joined recordings and counters that wrap begin anew in the middle: what follows is shifted to
    where the item before it ended. An item without a time follows the one before it.
    """

    def __init__(self):
        self._shift, self._last, self._end = 0.0, None, 0.0

    def place(self, seconds: float | None, duration: float) -> float:
        """When the next item is due; the stream's first time is kept.

        Args:
          seconds: as in the file.
          duration: of the item, where it is known to be.
        """
        place = self._end if seconds is None else seconds + self._shift
        if self._last is not None and place < self._last:
            if place < self._last - _JITTER:
                self._shift += self._end - place
                place = self._end
            place = max(place, self._last)
        self._last, self._end = place, place + duration
        return place
