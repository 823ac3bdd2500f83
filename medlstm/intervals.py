"""Split conformal intervals for the remaining length of stay, on the log scale where errors are even.

Source: Lei et al., "Distribution-free predictive inference for regression", JASA 2018, with each tail on its own.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ConformalInterval:
    """Offsets of log(1 + days) around a prediction; between them lie `coverage` of exchangeable stays."""

    coverage: float
    lower_offset: float
    upper_offset: float

    def lower(self, predicted_days: np.ndarray) -> np.ndarray:
        """Lower bounds in days, never below zero, for predictions [n] in days."""
        return np.maximum(np.expm1(np.log1p(predicted_days) + self.lower_offset), 0.0)

    def upper(self, predicted_days: np.ndarray) -> np.ndarray:
        """Upper bounds in days for predictions [n] in days; infinite where too few stays were there to tell."""
        return np.expm1(np.log1p(predicted_days) + self.upper_offset)


def calibrate(predicted_days: np.ndarray, actual_days: np.ndarray, coverage: float) -> ConformalInterval:
    """Fit the offsets on calibration stays that no model was trained on; both arrays [n], in days and >= 0.

    Raises ValueError when the shapes differ or there is nothing to calibrate on.
    """
    if predicted_days.shape != actual_days.shape or predicted_days.ndim != 1 or len(predicted_days) == 0:
        raise ValueError(f"calibration needs two equal, non-empty vectors, got {predicted_days.shape}")
    residuals = np.sort(np.log1p(actual_days) - np.log1p(predicted_days))
    rank = int(np.ceil((len(residuals) + 1) * (1 + coverage) / 2))
    if rank > len(residuals):
        return ConformalInterval(coverage, -np.inf, np.inf)
    return ConformalInterval(coverage, float(residuals[-rank]), float(residuals[rank - 1]))
