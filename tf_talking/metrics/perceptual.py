"""Distance of deep features, in the way of LPIPS (Zhang et al. 2018) but without its weights.

At each layer both activations are scaled to length 1 over the channels; the squared differences are
summed over channels, averaged over positions and summed over layers. LPIPS weights the channels
with numbers trained on human judgements; here all count the same, so the figures are not LPIPS's.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tf_talking.metrics import registry

_EPSILON = 1e-10  # as in LPIPS, for positions where nothing is active


def feature_distance(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Activations [N, h, w, C] of each layer, of two sets of frames -> float64 [N]."""
    total = 0.0
    for layer_a, layer_b in zip(a, b, strict=True):
        x, y = (
            np.asarray(f, np.float64) / (np.linalg.norm(f, axis=-1, keepdims=True) + _EPSILON)
            for f in (layer_a, layer_b)
        )
        total = total + np.square(x - y).sum(axis=-1).mean(axis=(1, 2))
    return total


@registry.register("perceptual", higher_is_better=False, needs=("network",))
def perceptual(
    real: np.ndarray, fake: np.ndarray, network: Callable[[np.ndarray], Sequence[np.ndarray]], batch_size: int = 16
) -> np.ndarray:
    """uint8 [N, S, S, 3] twice -> float64 [N], 0 for equal frames.

    Args:
      real, fake: frames.
      network: float32 [B, S, S, 3] in −1..1 -> activations, such as the "vgg19" of
        `build_content_networks`.
      batch_size: frames that the network gets at once.
    """
    parts = []
    for i in range(0, len(real), batch_size):
        rows = (f[i : i + batch_size].astype(np.float32) / 127.5 - 1.0 for f in (real, fake))
        parts.append(feature_distance(*([np.asarray(x) for x in network(r)] for r in rows)))
    return np.concatenate(parts)
