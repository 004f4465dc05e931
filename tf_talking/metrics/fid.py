"""Fréchet distance between feature distributions (Heusel et al. 2017), FID with Inception features.

Basics: features of either set are described by mean and covariance, d² = |m − m'|² +
tr(C + C' − 2 (C C')^½). All in float64. The trace of the root is taken from the eigenvalues of
the symmetric C^½ C' C^½, which are those of C C'; no root of a matrix that is not symmetric.
Bias: the estimate is too high at small n, about as 1/n, and more so the more features there are;
with n ≤ D the covariances are singular as well. Two halves of the same set do not get 0. Compare
figures of equal n only, and state n. Features up to `mixed_7` (768) are not the paper's 2048:
FID-768 compares with FID-768 only.
"""

from collections.abc import Callable

import numpy as np

from tf_talking.metrics import registry


def feature_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, D] -> mean float64 [D] and covariance float64 [D, D] (divided by N − 1).

    Raises:
      ValueError: not [N, D] with N ≥ 2, or values that are not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"fid: got features {features.shape}, expected [N, D] with N >= 2")
    if not np.isfinite(features).all():
        raise ValueError("fid: features: a value is not finite")
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def _root(matrix: np.ndarray) -> np.ndarray:
    """Square root of a symmetric matrix without negative eigenvalues but by rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b) -> float:
    """d² of two normal distributions: means [D], covariances [D, D]."""
    root = _root(covariance_a)
    eigenvalues = np.linalg.eigvalsh(root @ covariance_b @ root)
    trace_of_root = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    difference = mean_a - mean_b
    return float(difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * trace_of_root)


def fid_of_features(real: np.ndarray, fake: np.ndarray) -> float:
    """d² between the features [N, D] of real and of generated frames."""
    return frechet_distance(*feature_statistics(real), *feature_statistics(fake))


@registry.register("fid", higher_is_better=False, needs=("features",), per="set")
def fid(real: np.ndarray, fake: np.ndarray, features: Callable[[np.ndarray], np.ndarray]) -> float:
    """uint8 [N, H, W, 3] twice -> d². `features`: uint8 frames -> [N, D], see `inception`."""
    return fid_of_features(features(real), features(fake))
