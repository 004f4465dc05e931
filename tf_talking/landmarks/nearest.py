"""The baseline of every comparison: the source frame whose landmarks are nearest."""

import numpy as np


def nearest_source(sources: np.ndarray, drivings: np.ndarray) -> np.ndarray:
    """Index of the source landmarks [T, P, 2] nearest to each of [N, P, 2]; crops are aligned."""
    distance = np.linalg.norm(drivings[:, np.newaxis] - sources[np.newaxis], axis=-1).mean(-1)
    return distance.argmin(axis=1)  # of [N, T]
