"""What every benchmark ends with: its figures, and the machine they come from."""

import numpy as np

from benchmarks.measuring.machine import describe_machine


def result(figures: dict) -> dict:
    """`figures` and "machine", floats with four digits; `program.run` prints it as one line."""
    return rounded({**figures, "machine": describe_machine()})


def rounded(figures):
    """Floats with four digits, at any depth; NumPy's numbers become Python's."""
    if isinstance(figures, dict):
        return {key: rounded(value) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [rounded(value) for value in figures]
    if isinstance(figures, np.generic):
        figures = figures.item()
    return float(f"{figures:.4g}") if isinstance(figures, float) else figures
