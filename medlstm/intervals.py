"""Split conformal intervals for the remaining length of stay.

A distribution is calibrated on its own levels: which of them the calibration stays really fell between, by how
long they had been in. A point is calibrated on the log scale, where errors are even.
Sources: Lei et al., "Distribution-free predictive inference for regression", JASA 2018, with each tail on its own;
Chernozhukov, Wüthrich and Zhu, "Distributional conformal prediction", PNAS 2021.
"""

from dataclasses import dataclass

import numpy as np

from medlstm.batches import Predictions

_BAND_ENDS_DAYS = (1.0, 2.0, 4.0, 8.0)
_MIN_STAYS_OF_A_BAND = 200


@dataclass(frozen=True)
class ConformalInterval:
    """Offsets of log(1 + days) around a prediction; between them lie `coverage` of exchangeable stays."""

    coverage: float
    lower_offset: float
    upper_offset: float

    def bounds(self, predictions: Predictions, elapsed_days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds in days [m]; infinite where too few stays were there to tell."""
        level = np.log1p(predictions.days)
        return np.maximum(np.expm1(level + self.lower_offset), 0.0), np.expm1(level + self.upper_offset)


@dataclass(frozen=True)
class DistributionInterval:
    """Levels of the predicted distribution, by days since admission: one pair up to each of `band_ends_days`, and
    one beyond; between the quantiles at these levels lie `coverage` of exchangeable stays."""

    coverage: float
    band_ends_days: tuple[float, ...]
    lower_levels: tuple[float, ...]
    upper_levels: tuple[float, ...]

    def bounds(self, predictions: Predictions, elapsed_days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds in days [m]; infinite where too few stays were there to tell."""
        if predictions.remaining is None:
            raise ValueError("these intervals are for predictions with a distribution")
        band = np.searchsorted(np.array(self.band_ends_days), elapsed_days, side="right")
        lower = predictions.remaining.quantile(np.array(self.lower_levels)[band])
        return lower, predictions.remaining.quantile(np.array(self.upper_levels)[band])


Interval = ConformalInterval | DistributionInterval


def calibrate(
    predictions: Predictions, actual_days: np.ndarray, elapsed_days: np.ndarray, stay: np.ndarray, coverage: float
) -> Interval:
    """Fit on calibration stays that no model was trained on: predictions, actual and elapsed days >= 0, and which stay
    each is of, all [m]. Several moments of one stay tell little more than one, so what can be told is counted by stays.

    Raises ValueError when the shapes differ or there is nothing to calibrate on.
    """
    shape = predictions.days.shape
    if not shape == actual_days.shape == elapsed_days.shape == stay.shape or len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"calibration needs equal, non-empty vectors, got {shape}, {actual_days.shape}")
    if predictions.remaining is None:
        return calibrate_offsets(predictions.days, actual_days, len(np.unique(stay)), coverage)
    reached = predictions.remaining.ended_within(actual_days)
    band = np.searchsorted(np.array(_BAND_ENDS_DAYS), elapsed_days, side="right")
    everywhere = _levels(reached, len(np.unique(stay)), coverage)
    pairs = []
    for index in range(len(_BAND_ENDS_DAYS) + 1):
        inside = band == index
        stays = len(np.unique(stay[inside]))
        pairs.append(_levels(reached[inside], stays, coverage) if stays >= _MIN_STAYS_OF_A_BAND else everywhere)
    lower, upper = zip(*pairs, strict=True)
    return DistributionInterval(coverage, _BAND_ENDS_DAYS, lower, upper)


def _levels(reached: np.ndarray, stays: int, coverage: float) -> tuple[float, float]:
    """The levels between which the share `coverage` of the next stays falls; (0, 1) with too few to tell."""
    ordered = np.sort(reached)
    rank = _rank(len(ordered), stays, coverage)
    if rank > len(ordered):
        return 0.0, 1.0
    # The median is always within its bounds.
    return min(float(ordered[-rank]), 0.5), max(float(ordered[rank - 1]), 0.5)


def _rank(count: int, stays: int, coverage: float) -> int:
    """Which of `count` ordered scores of so many stays bounds a tail; beyond the last where no finite one does."""
    return int(np.ceil(count * (1 + 1 / stays) * (1 + coverage) / 2 - 1e-9))


def calibrate_offsets(
    predicted_days: np.ndarray, actual_days: np.ndarray, stays: int, coverage: float
) -> ConformalInterval:
    """Fit the offsets of a point prediction on so many calibration stays; both arrays [m], in days and >= 0."""
    residuals = np.sort(np.log1p(actual_days) - np.log1p(predicted_days))
    rank = _rank(len(residuals), stays, coverage)
    if rank > len(residuals):
        return ConformalInterval(coverage, -np.inf, np.inf)
    return ConformalInterval(coverage, float(residuals[-rank]), float(residuals[rank - 1]))
