"""CSIM: cosine similarity of a face recogniser's embeddings (the paper's identity metric).

Both frames are aligned by the same landmarks, the driven ones: the metric asks who is seen where
the face was meant to be. Take another recogniser than the one a loss used.
"""

from collections.abc import Callable

import numpy as np

from tf_talking.metrics import registry


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Embeddings [N, D] or [1, D] twice -> their cosines float64 [N]."""
    a, b = (np.asarray(rows, np.float64) for rows in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)


@registry.register("csim", higher_is_better=True, needs=("recogniser", "landmarks"))
def csim(
    real: np.ndarray,
    fake: np.ndarray,
    recogniser: Callable[[np.ndarray, np.ndarray], np.ndarray],
    landmarks: np.ndarray,
) -> np.ndarray:
    """uint8 [N, H, W, 3] twice -> float64 [N] in −1..1.

    Args:
      real, fake: frames.
      recogniser: frames and landmarks -> embeddings [N, D], see `face_recognition`.
      landmarks: float [N, 68, 2], pixels.
    """
    return cosines(recogniser(real, landmarks), recogniser(fake, landmarks))
