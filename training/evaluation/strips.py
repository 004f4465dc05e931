"""Picture strips of an evaluation: rows are frames, columns what is compared."""

import numpy as np

from training.evaluation.methods import BEFORE, NEAREST


def strip_methods(methods: list[str]) -> list[str]:
    """Those with a column in a strip; nobody sees a difference between FT before and FF."""
    return [m for m in methods if m not in (NEAREST, BEFORE)]


def draw_strip(
    source: np.ndarray,
    drawn: np.ndarray,
    truth: np.ndarray,
    frames: dict[str, np.ndarray],
    count: int = 2,
) -> np.ndarray:
    """The rows of one T: uint8 [rows * S, columns * S, 3].

    Args:
      source: one few-shot frame, uint8 [S, S, 3].
      drawn, truth: landmark images and ground truth, uint8 [N, S, S, 3].
      frames: method → uint8 [N, S, S, 3].
      count: hold-out frames shown, each a row.
    """
    shown = np.unique(np.linspace(0, len(truth) - 1, count + 2).round().astype(int)[1:-1])
    order = strip_methods(list(frames))
    rows = [
        np.concatenate([source, drawn[i], truth[i], *(frames[m][i] for m in order)], axis=1)
        for i in shown
    ]
    return np.concatenate(rows)
