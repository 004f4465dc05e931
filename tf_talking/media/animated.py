"""Photos that move: animated WebP and PNG, which FFmpeg does not read. No TensorFlow."""

import os
import pathlib
from collections.abc import Iterator

import numpy as np
import PIL.Image

from tf_talking.media import photos
from tf_talking.media.photo_colours import to_srgb

_DEFAULT_MILLISECONDS = 100  # where a picture says 0, as browsers have it


def num_pictures(path: str | os.PathLike) -> int:
    """Pictures of a photo; 1 also if it can not be read, which whoever reads it finds out."""
    if pathlib.Path(path).suffix.lower() not in (".webp", ".png"):
        return 1  # several pictures of a TIFF are pages
    try:
        with PIL.Image.open(path) as image:
            return getattr(image, "n_frames", 1)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return 1


def read(path: str | os.PathLike) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (seconds, pixels uint8 [H, W, 3] RGB). Raises ValueError naming the file."""
    photos.photo_size(path)  # raises
    with PIL.Image.open(path) as image:
        milliseconds = 0
        try:
            for number in range(image.n_frames):
                image.seek(number)
                pixels = np.array(to_srgb(image))  # loads the duration too
                yield milliseconds / 1000, pixels
                milliseconds += image.info.get("duration") or _DEFAULT_MILLISECONDS
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{path}: corrupt image: {error}") from None


def speed(path: str | os.PathLike) -> float:
    """Pictures per second, by how long the first is shown."""
    with PIL.Image.open(path) as image:
        image.load()
        return 1000 / (image.info.get("duration") or _DEFAULT_MILLISECONDS)
