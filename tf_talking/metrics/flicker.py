"""Temporal flicker: change from frame to frame that the real video does not have.

Mean over consecutive frames and all pixels of |(f_t − f_t₋₁) − (r_t − r_t₋₁)| on the 0..1 scale.
An error that stays the same in all frames (a wrong shirt) does not count, one that comes and goes
does; motion that both have cancels out.
"""

import numpy as np

from tf_talking.metrics import registry


@registry.register("flicker", higher_is_better=False, per="set")
def flicker(real: np.ndarray, fake: np.ndarray) -> float:
    """uint8 [N, H, W, 3] twice, consecutive frames of one video -> 0..2, 0 for equal videos.

    Raises:
      ValueError: fewer than two frames.
    """
    if len(real) < 2:
        raise ValueError(f"flicker: got {len(real)} frame, expected at least 2 consecutive ones")
    error = fake.astype(np.int16) - real.astype(np.int16)
    return float(np.abs(np.diff(error, axis=0)).mean(dtype=np.float64) / 255.0)
