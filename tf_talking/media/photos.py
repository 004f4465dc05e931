"""Photos and folders of images: listing, size, and upright RGB pixels.

Pixels are uint8 [H, W, 3] sRGB with EXIF orientation applied. Every reading error is a ValueError
that names the file. No TensorFlow.
"""

import os
import pathlib
import re

import numpy as np
import PIL.Image
import PIL.ImageOps

from tf_talking import files
from tf_talking.media import jpeg
from tf_talking.media.photo_colours import to_srgb

# HEIC: what Pillow can not read of it is named as such.
IMAGE_SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .bmp .webp .tif .tiff .avif .heic .heif .hif".split())

# Larger pictures are refused before they are decoded: a few kilobytes can unpack to gigabytes.
MAX_PIXELS = 2**27  # 134 megapixels, 0.4 GB as RGB
MAX_JPEG_PIXELS = 2**28  # phones have 200 megapixels; JPEGs above MAX_PIXELS are decoded at half size
PIL.Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit, which is lower, and whose words help nobody


# What Pillow and its codecs raise for files that are not as they should be.
_BROKEN = (PIL.UnidentifiedImageError, OSError, SyntaxError, ValueError, RuntimeError, EOFError)


def is_image(path: str | os.PathLike) -> bool:
    """Whether the name is that of a photo that `read_frames` can read."""
    return pathlib.Path(path).suffix.lower() in IMAGE_SUFFIXES


def natural_key(path: str | os.PathLike) -> list:
    """Sorting key by which frame9 comes before frame10."""
    parts = re.split(r"(\d+)", os.fspath(path).lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def frame_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """Images directly in a folder, in natural order (hidden files do not count)."""
    files = (path for path in pathlib.Path(folder).iterdir() if is_image(path) and path.is_file())
    return sorted((p for p in files if not p.name.startswith(".")), key=lambda p: natural_key(p))


def check_file(path: pathlib.Path) -> None:
    """Raises ValueError if there is no such file, or if it is empty."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: empty file (0 bytes)")


def check_pixels(path: pathlib.Path, width: int, height: int) -> None:
    """Raises ValueError if that is more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"{path}: {width}x{height} pixels, more than the {MAX_PIXELS} that are decoded")


def _open_photo(path: pathlib.Path) -> PIL.Image.Image:
    check_file(path)
    try:
        image = PIL.Image.open(path)
    except _BROKEN as error:
        # What Pillow says of an unknown format is the file's name once more.
        why = "" if isinstance(error, PIL.UnidentifiedImageError) else f": {error}"
        if path.suffix.lower() in (".heic", ".heif", ".hif"):
            why += "; phones' HEIC can not be read, save it as JPEG"
        raise ValueError(f"{path}: not an image, or a corrupt one{why}") from None
    width, height = image.size
    if image.format in ("JPEG", "MPO") and MAX_PIXELS < width * height <= MAX_JPEG_PIXELS:
        image.draft(None, (width // 2, height // 2))  # the decoder's own, which never makes the whole
    check_pixels(path, *image.size)
    return image


def photo_size(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) of what `read_photo` gives, from the photo's header. Raises ValueError."""
    with _open_photo(pathlib.Path(path)) as image:
        width, height = image.size
        try:
            sideways = image.getexif().get(0x0112, 1) >= 5
        except _BROKEN as error:  # a PNG's stands behind its pixels
            raise ValueError(f"{path}: corrupt image: {error}") from None
        return (height, width) if sideways else (width, height)


def read_photo(path: str | os.PathLike) -> np.ndarray:
    """Photo -> uint8 [H, W, 3] RGB, upright, on white where it is transparent.

    Raises:
      ValueError: names the file and what is wrong with it.
    """
    with _open_photo(pathlib.Path(path)) as image:
        try:
            return np.array(to_srgb(PIL.ImageOps.exif_transpose(image)))
        except _BROKEN as error:
            raise ValueError(f"{path}: corrupt image: {error}") from None


def write_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes uint8 RGB [H, W, 3]; `path` is the old file or the whole new one."""
    files.write_whole(path, jpeg.encode_png(picture))
