"""Pictures as bytes: JPEG and PNG. Pixels are uint8 [H, W, 3] RGB.

OpenCV, which wants BGR, is imported by the functions that need it: a client that passes pictures
on as they come needs none. No TensorFlow.
"""

import numpy as np


def check_rgb(picture: np.ndarray, name: str = "frame") -> None:
    """Raises ValueError unless the picture is uint8 [H, W, 3]; `name` is what the message says."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"{name}: got {picture.dtype} {picture.shape}, expected uint8 [H, W, 3]")


def swap_red_and_blue(picture: np.ndarray) -> np.ndarray:
    """RGB -> BGR, and back."""
    import cv2

    return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)


def encode(picture: np.ndarray, quality: int = 95, full_color: bool = False) -> bytes:
    """Picture -> JPEG.

    Args:
      picture: uint8 [H, W, 3] RGB.
      quality: 1 to 100.
      full_color: colors are kept at every pixel, not at every second one.

    Raises:
      ValueError: the picture is not uint8 RGB.
    """
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if full_color:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode(picture, ".jpg", options)


def encode_png(picture: np.ndarray) -> bytes:
    """Picture uint8 [H, W, 3] RGB -> PNG. Raises ValueError if it is not uint8 RGB."""
    return _encode(picture, ".png", [])


def _encode(picture: np.ndarray, suffix: str, options: list[int]) -> bytes:
    import cv2

    check_rgb(picture)
    done, data = cv2.imencode(suffix, swap_red_and_blue(picture), options)
    if not done:
        raise ValueError(f"frame {picture.shape}: OpenCV could not encode it as {suffix}")
    return data.tobytes()


def decode(data: bytes) -> np.ndarray:
    """JPEG or PNG -> uint8 [H, W, 3] RGB. Raises ValueError if it is neither."""
    if not data:
        raise ValueError("frame: got 0 bytes, expected a JPEG image")
    import cv2

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"frame: {len(data)} bytes that OpenCV can not decode as JPEG")
    return swap_red_and_blue(picture)
