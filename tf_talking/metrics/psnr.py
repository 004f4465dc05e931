"""Peak signal-to-noise ratio."""

import numpy as np

from tf_talking.metrics import registry


@registry.register("psnr", higher_is_better=True)
def psnr(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] twice -> float64 [N], decibels; infinite where the frames are equal."""
    difference = real.astype(np.float64) - fake.astype(np.float64)
    mean_square = np.square(difference).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(255.0**2 / mean_square)
