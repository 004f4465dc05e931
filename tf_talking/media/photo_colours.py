"""Photos of any kind of pixels as they are meant to look on a screen: sRGB, opaque, 8 bits."""

import functools
import io

import numpy as np
import PIL.Image
import PIL.ImageCms
from absl import logging

GROUND = (255, 255, 255)  # behind what is transparent, as viewers show it
_SAME_COLORANT = 2e-3  # XYZ; Display P3's red and sRGB's differ by 0.08
_MODES = {"RGB": "RGB", "CMYK": "CMYK", "GRAY": "L"}


def to_srgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """A decoded photo of any mode -> mode RGB, in sRGB, on white where it is transparent."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        image = _on_ground(image)
    profile = image.info.get("icc_profile")
    return _by_profile(image, profile) if profile else image.convert("RGB")


def _eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Grey of 16 or 32 bits or of numbers: Pillow's own conversion cuts it off at 255."""
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    largest = float(values.max(initial=0))
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "F" and largest <= 1:
        white = 1.0
    else:  # nothing says what white is: the smallest usual value that holds all
        white = next((w for w in (255.0, 65535.0) if largest <= w), largest)
    return PIL.Image.fromarray(np.clip(values * (255 / white) + 0.5, 0, 255).astype(np.uint8))


def _on_ground(image: PIL.Image.Image) -> PIL.Image.Image:
    # What stands below transparent pixels is whatever the program that cut out left there.
    cut_out = image.convert("RGBA")
    whole = PIL.Image.new("RGB", image.size, GROUND)
    whole.paste(cut_out, mask=cut_out.getchannel("A"))
    whole.info = image.info
    return whole


@functools.cache
def _srgb() -> PIL.ImageCms.ImageCmsProfile:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB"))


def _by_profile(image: PIL.Image.Image, data: bytes) -> PIL.Image.Image:
    """The image in sRGB; a profile that is damaged or of another kind of image says nothing."""
    image = image.convert("RGB") if image.mode not in _MODES.values() else image
    try:
        profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(data))
        mode = _MODES.get(profile.profile.xcolor_space.strip())
        if mode == image.mode and not _is_srgb(profile):
            return PIL.ImageCms.profileToProfile(image, profile, _srgb(), outputMode="RGB")
    except (PIL.ImageCms.PyCMSError, OSError, ValueError) as error:
        logging.debug("a photo's colour profile is not used: %s", error)
    return image.convert("RGB")


def _is_srgb(profile: PIL.ImageCms.ImageCmsProfile) -> bool:
    """By its colours: programs give their profiles any name."""
    pairs = []
    for name in ("red_colorant", "green_colorant", "blue_colorant"):
        own, srgb = getattr(profile.profile, name), getattr(_srgb().profile, name)
        if own is None:
            return False
        pairs.append((own[0], srgb[0]))
    return bool(np.max(np.abs(np.subtract(*zip(*pairs, strict=True)))) < _SAME_COLORANT)
