"""Pictures uint8 RGB [H, W, 3] inside of a page."""

import numpy as np

from tf_talking.media import jpeg
from tf_talking.media.panels import scaled
from training.pages.html import data_uri

_LOSSLESS_BELOW = 128  # pixels


def photo_uri(picture: np.ndarray, shown: int) -> str:
    """As JPEG, no larger than a page shows it, `shown` pixels wide, at two dots a pixel."""
    height, width = picture.shape[:2]
    factor = min(1.0, 2 * shown / width)
    fitted = scaled(picture, round(width * factor), round(height * factor))
    return data_uri(jpeg.encode(fitted, 90), "image/jpeg")


def cell_uri(picture: np.ndarray) -> str:
    """As it is: small ones stay PNG, larger ones become JPEG."""
    if len(picture) < _LOSSLESS_BELOW:
        return data_uri(jpeg.encode_png(picture), "image/png")
    return data_uri(jpeg.encode(picture), "image/jpeg")
