"""Errors of predicted days, pure functions; a shape mismatch raises instead of broadcasting."""

import numpy as np


def mean_absolute_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean of |predicted - actual|, in the unit of the inputs; NaN of nothing."""
    _same_vectors(predicted, actual)
    return float(np.mean(np.abs(predicted - actual))) if len(actual) else float("nan")


def interval_coverage(lower: np.ndarray, upper: np.ndarray, actual: np.ndarray) -> float:
    """Share of `actual` within [lower, upper], bounds included; NaN of nothing."""
    _same_vectors(lower, actual)
    _same_vectors(upper, actual)
    return float(np.mean((lower <= actual) & (actual <= upper))) if len(actual) else float("nan")


def _same_vectors(left: np.ndarray, right: np.ndarray) -> None:
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"needs two vectors of the same length, got {left.shape} and {right.shape}")
