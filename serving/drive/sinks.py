"""Where the pictures of a live session go: a window, a video. Pictures are uint8 [H, W, 3] RGB."""

import asyncio
import concurrent.futures
import os
import subprocess
import sys

import cv2
import numpy as np

from tf_talking.media.jpeg import swap_red_and_blue
from tf_talking.media.video_writer import VideoWriter

_TITLE = "talking head (q or Esc ends)"
_QUIT_KEYS = (ord("q"), 27)


class Window:
    """Shows pictures and looks for keys. Raises ValueError where there is no display."""

    def __init__(self):
        # Without a display OpenCV's toolkit ends the whole process: it is tried in another one.
        probe = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"
        result = subprocess.run([sys.executable, "-c", probe], capture_output=True)
        if result.returncode:
            raise ValueError("no window can be opened here (no display?); a video can be written instead: output")
        cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE)

    def show(self, picture: np.ndarray, seconds: float) -> None:
        """Shows a picture, now."""
        cv2.imshow(_TITLE, swap_red_and_blue(picture))

    async def wait_for_quit(self) -> None:
        """Keeps the window alive; returns when a key ends the session or the window is closed."""
        while cv2.waitKey(1) & 0xFF not in _QUIT_KEYS:
            if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()


class Recorder:
    """Writes pictures with their times, in a thread of its own. No picture, no file; an error of
    others ends the file whole, for what was recorded live does not come again."""

    def __init__(self, path: str | os.PathLike, fps: float):
        self._writer = VideoWriter(path, fps)
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "recorder")

    async def write(self, picture: np.ndarray, seconds: float) -> None:
        """Appends a picture; all of one size. Raises what the writer raises."""
        await asyncio.wrap_future(self._thread.submit(self._writer.write, picture, seconds))

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._thread.shutdown()  # waits: what was handed over is written
        if self._writer.num_frames:
            self._writer.__exit__(None, None, None)
        elif kind is not None:
            self._writer.__exit__(kind, error, trace)
