"""Mean absolute difference."""

import numpy as np

from tf_talking.metrics import registry


@registry.register("l1", higher_is_better=False)
def l1(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] twice -> float64 [N], mean |real - fake| on the 0..1 scale."""
    difference = np.abs(real.astype(np.int16) - fake.astype(np.int16))
    return difference.mean(axis=(1, 2, 3), dtype=np.float64) / 255.0
