"""From a decoded frame to RGB as a screen of today shows it. No TensorFlow.

Which matrix and range made Y, Cb and Cr of R, G and B stands in each frame (BT.601, BT.709,
BT.2020; 16 to 235 or 0 to 255). What says nothing is taken by BT.601, as FFmpeg's scaler, which
wrote most of such files, has it. High dynamic range (HLG, PQ) is brought down to the brightness and
the colours of BT.709.
"""

import functools

import av
import numpy as np
from av.video.reformatter import VideoReformatter

_BT601 = 5  # also what the scaler is set to before anything is said
_FULL_RANGE, _LIMITED_RANGE = 2, 1
_KNOWN_MATRICES = (1, 4, 5, 6, 7, 9)  # ITU-T H.273's numbers, which the scaler shares
_PQ, _HLG = 16, 18

# Light of HDR that becomes white of SDR, cd/m². BT.2408's diffuse white, 203, then lies at 85 % of
# the signal, and what is above is left for highlights.
_WHITE = 300.0
_HLG_PEAK = 1000.0
_KNEE = 0.8  # below it light is kept, above it is compressed to end at 1
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_LEVELS = 4096  # of the tables; HDR is written with 10 or 12 bits


class ToRgb:
    """Converts the frames of a video, one after the other."""

    def __init__(self):
        # A scaler keeps its settings and does not take back BT.601: one for each kind of frame.
        self._scalers: dict[tuple, VideoReformatter] = {}

    def __call__(self, frame: av.VideoFrame, transfer: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB.

        Args:
          frame: as decoded.
          transfer: ITU-T H.273's number of the video's transfer function.
        """
        hdr = transfer in (_PQ, _HLG)
        pixels = self._converted(frame, "rgb48le" if hdr else "rgb24").to_ndarray()
        return _to_sdr(pixels, transfer) if hdr else pixels

    def _converted(self, frame: av.VideoFrame, format: str) -> av.VideoFrame:
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        matrix = frame.colorspace if frame.colorspace in _KNOWN_MATRICES else _BT601
        key = (frame.format.name, frame.width, frame.height, matrix, full)
        scaler = self._scalers.setdefault(key, VideoReformatter())
        return scaler.reformat(
            frame,
            format=format,
            src_colorspace=matrix,
            # RGB has no matrix; but where both are the same the scaler is not told about either.
            dst_colorspace=1 if matrix == _BT601 else _BT601,
            src_color_range=_FULL_RANGE if full else _LIMITED_RANGE,
            dst_color_range=_FULL_RANGE,
        )


def _to_sdr(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """uint16 [H, W, 3] of BT.2020 by HLG or PQ -> uint8 of BT.709."""
    light = _light(transfer)[pixels >> 4]  # 16 bits -> the table's 12
    if transfer == _HLG:
        # BT.2100: of scene light is made what a display of 1,000 cd/m² shows.
        light *= np.maximum(light @ _BT2020_LUMA, 1e-6)[..., None] ** 0.2 * (_HLG_PEAK / _WHITE)
    light = np.maximum(light @ _BT2020_TO_BT709.T, 0)
    brightest = light.max(-1, keepdims=True)
    room = 1 - _KNEE
    compressed = _KNEE + room * (1 - np.exp(-(brightest - _KNEE) / room))
    light *= np.where(brightest > _KNEE, compressed / np.maximum(brightest, 1e-6), 1)
    # The root spreads the table's steps over dark colours, as eyes do.
    return _signal()[(np.sqrt(np.minimum(light, 1)) * (_LEVELS - 1) + 0.5).astype(np.uint16)]


@functools.cache
def _light(transfer: int) -> np.ndarray:
    """Signal, 0 to 4095 -> PQ: light, 1 is `_WHITE`; HLG: light of the scene, 1 is the peak."""
    signal = np.arange(_LEVELS) / (_LEVELS - 1)
    if transfer == _HLG:  # BT.2100, the inverse of its OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = signal ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10000 / _WHITE
    return light.astype(np.float32)


@functools.cache
def _signal() -> np.ndarray:
    """Root of light, 0 to 4095 -> uint8 signal for SDR: BT.1886, light = signal^2.4."""
    root = np.arange(_LEVELS) / (_LEVELS - 1)
    return np.round(255 * root ** (2 / 2.4)).astype(np.uint8)
