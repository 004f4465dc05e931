"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004), the paper's SSIM.

Gaussian window of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance; each
colour channel by itself, then the mean over channels and over all windows that lie inside the
frame. The same as scikit-image's `structural_similarity` with `gaussian_weights=True, sigma=1.5,
use_sample_covariance=False, data_range=255, channel_axis=-1`.
"""

import cv2
import numpy as np

from tf_talking.metrics import registry

_RADIUS = 5  # window of 11 pixels
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def _window() -> np.ndarray:
    weights = np.exp(-0.5 * np.square(np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA))
    return weights / weights.sum()


def _local_mean(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """float64 [H, W, 3] -> [H - 10, W - 10, 3], only windows that lie inside."""
    mean = cv2.sepFilter2D(image, cv2.CV_64F, window, window)
    return mean[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _ssim_of_frame(real: np.ndarray, fake: np.ndarray) -> float:
    window = _window()
    a, b = real.astype(np.float64), fake.astype(np.float64)
    mean_a, mean_b = _local_mean(a, window), _local_mean(b, window)
    variance_a = _local_mean(a * a, window) - mean_a**2
    variance_b = _local_mean(b * b, window) - mean_b**2
    covariance = _local_mean(a * b, window) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    denominator = (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    return float(np.mean(numerator / denominator))


@registry.register("ssim", higher_is_better=True)
def ssim(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] twice -> float64 [N], -1 ... 1, 1 for equal frames.

    Raises:
      ValueError: frames smaller than the window.
    """
    if min(real.shape[1:3]) < 2 * _RADIUS + 1:
        raise ValueError(f"ssim: got frames of {real.shape[2]} x {real.shape[1]} pixels, expected >= 11 x 11")
    return np.array([_ssim_of_frame(a, b) for a, b in zip(real, fake, strict=True)])
