"""Split conformal intervals for the remaining length of stay.

A distribution is calibrated on its own levels: which of them the calibration stays really fell between, by how
long they had been in. A point is calibrated on the log scale, where errors are even. An interval that holds for nine
in ten of all stays may hold for fewer of one group's, and calibration stays are too few to tell for each group. The
predictions out of fold are more: where they ask for more in a group than in all, its bounds are widened, the closer
to the whole difference the more stays say so, and a stay of several groups gets the widest of theirs. The widened
bounds are what is calibrated, so that what some groups get is not added to the coverage of all.
Sources: Lei et al., "Distribution-free predictive inference for regression", JASA 2018, with each tail on its own;
Chernozhukov, Wüthrich and Zhu, "Distributional conformal prediction", PNAS 2021; Barber et al., "The limits of
distribution-free conditional predictive inference", Information and Inference 2021 (the widest of several groups).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from medlstm.batches import Predictions
from medlstm.subgroups import large_groups

_BAND_ENDS_DAYS = (1.0, 2.0, 4.0, 8.0)
_MIN_STAYS_OF_A_BAND = 200
_STAYS_FOR_HALF = 100
# Keeps the log odds of levels finite; beyond it lies one stay in a million.
_EXTREME_LEVEL = 1e-6


@dataclass(frozen=True)
class GroupWidening:
    """By how much the bounds of stays whose `attribute` (a category, age) is `group` are moved: `lower` <= 0 and
    `upper` >= 0, in log odds of levels for a distribution, in log(1 + days) for a point."""

    attribute: str
    group: str
    lower: float
    upper: float


@dataclass(frozen=True)
class ConformalInterval:
    """Offsets of log(1 + days) around a prediction; between them lie `coverage` of exchangeable stays."""

    coverage: float
    lower_offset: float
    upper_offset: float
    widenings: tuple[GroupWidening, ...] = ()

    def bounds(
        self, predictions: Predictions, elapsed_days: np.ndarray, groups: pd.DataFrame
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds in days [m]; infinite where too few stays were there to tell. `groups` [m] as of
        `medlstm.subgroups.group_labels`."""
        level = np.log1p(predictions.days)
        lower, upper = _widened(self.widenings, groups)
        lower, upper = level + self.lower_offset + lower, level + self.upper_offset + upper
        return np.maximum(np.expm1(lower), 0.0), np.expm1(upper)


@dataclass(frozen=True)
class DistributionInterval:
    """Levels of the predicted distribution, by days since admission: one pair up to each of `band_ends_days`, and
    one beyond; between the quantiles at these levels lie `coverage` of exchangeable stays."""

    coverage: float
    band_ends_days: tuple[float, ...]
    lower_levels: tuple[float, ...]
    upper_levels: tuple[float, ...]
    widenings: tuple[GroupWidening, ...] = ()

    def bounds(
        self, predictions: Predictions, elapsed_days: np.ndarray, groups: pd.DataFrame
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds in days [m]; infinite where too few stays were there to tell. `groups` [m] as of
        `medlstm.subgroups.group_labels`."""
        if predictions.remaining is None:
            raise ValueError("these intervals are for predictions with a distribution")
        band = np.searchsorted(np.array(self.band_ends_days), elapsed_days, side="right")
        lower, upper = _widened(self.widenings, groups)
        lower_level = expit(logit(np.array(self.lower_levels)[band]) + lower)
        upper_level = expit(logit(np.array(self.upper_levels)[band]) + upper)
        return predictions.remaining.quantile(lower_level), predictions.remaining.quantile(upper_level)


Interval = ConformalInterval | DistributionInterval


def _widened(widenings: tuple[GroupWidening, ...], groups: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.zeros(len(groups)), np.zeros(len(groups))
    for one in widenings:
        if one.attribute not in groups:
            continue
        inside = (groups[one.attribute] == one.group).to_numpy()
        lower[inside] = np.minimum(lower[inside], one.lower)
        upper[inside] = np.maximum(upper[inside], one.upper)
    return lower, upper


def calibrate(
    predictions: Predictions,
    actual_days: np.ndarray,
    elapsed_days: np.ndarray,
    stay: np.ndarray,
    coverage: float,
    widenings: tuple[GroupWidening, ...] = (),
    groups: pd.DataFrame | None = None,
) -> Interval:
    """Fit on calibration stays that no model was trained on: predictions, actual and elapsed days >= 0, and which stay
    each is of, all [m]. Several moments of one stay tell little more than one, so what can be told is counted by stays.

    `widenings` come from other stays (`group_widenings`), `groups` [m] are those of the calibration stays. Raises
    ValueError when the shapes differ or there is nothing to calibrate on.
    """
    shape = predictions.days.shape
    if not shape == actual_days.shape == elapsed_days.shape == stay.shape or len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"calibration needs equal, non-empty vectors, got {shape}, {actual_days.shape}")
    scores = interval_scores(predictions, actual_days)
    lower, upper = _widened(widenings, pd.DataFrame(index=range(len(scores))) if groups is None else groups)
    below, above = scores - lower, scores - upper
    if predictions.remaining is None:
        return _offsets(below, above, len(np.unique(stay)), coverage, widenings)
    band = np.searchsorted(np.array(_BAND_ENDS_DAYS), elapsed_days, side="right")
    everywhere = _levels(below, above, len(np.unique(stay)), coverage)
    pairs = []
    for index in range(len(_BAND_ENDS_DAYS) + 1):
        inside = band == index
        stays = len(np.unique(stay[inside]))
        enough = stays >= _MIN_STAYS_OF_A_BAND
        pairs.append(_levels(below[inside], above[inside], stays, coverage) if enough else everywhere)
    lower_levels, upper_levels = zip(*pairs, strict=True)
    return DistributionInterval(coverage, _BAND_ENDS_DAYS, lower_levels, upper_levels, widenings)


def interval_scores(predictions: Predictions, actual_days: np.ndarray) -> np.ndarray:
    """How far above the prediction each actual stay [m] ended, on the scale of `GroupWidening`."""
    if predictions.remaining is None:
        return np.log1p(actual_days) - np.log1p(predictions.days)
    reached = predictions.remaining.ended_within(actual_days)
    return logit(np.clip(reached, _EXTREME_LEVEL, 1 - _EXTREME_LEVEL))


def group_widenings(
    scores: np.ndarray, groups: pd.DataFrame, stay: np.ndarray, coverage: float
) -> tuple[GroupWidening, ...]:
    """The groups whose tails reach further than those of all stays, from `interval_scores` [m] of predictions out of
    fold, the `groups` [m] and which stay each is of [m].

    A group's tail begins at its conformal rank, and counts as if a hundred more stays had said that it is like all:
    by chance alone a few stays reach far, and the widest of several groups farther. Groups too small to
    be judged (`large_groups`) are left as they are.
    """
    everyone = np.quantile(scores, [(1 - coverage) / 2, (1 + coverage) / 2])
    found = []
    for attribute, group, inside, stays in large_groups(groups, stay):
        ordered = np.sort(scores[inside])
        rank = _rank(len(ordered), stays, coverage)
        if rank > len(ordered):
            continue
        told = stays / (stays + _STAYS_FOR_HALF)
        lower, upper = told * min(ordered[-rank] - everyone[0], 0.0), told * max(ordered[rank - 1] - everyone[1], 0.0)
        if lower or upper:
            found.append(GroupWidening(attribute, group, float(lower), float(upper)))
    return tuple(found)


def _levels(below: np.ndarray, above: np.ndarray, stays: int, coverage: float) -> tuple[float, float]:
    """The levels between which the share `coverage` of the next stays falls, from log odds of levels [m] less what the
    group's lower and upper bounds are moved by; (0, 1) with too few to tell."""
    rank = _rank(len(below), stays, coverage)
    if rank > len(below):
        return 0.0, 1.0
    lower, upper = float(np.sort(below)[-rank]), float(np.sort(above)[rank - 1])
    # What was clipped stands for all that lies beyond it; and the median is always within its bounds.
    lower_level = float(expit(lower)) if lower > logit(_EXTREME_LEVEL) else 0.0
    upper_level = float(expit(upper)) if upper < logit(1 - _EXTREME_LEVEL) else 1.0
    return min(lower_level, 0.5), max(upper_level, 0.5)


def _rank(count: int, stays: int, coverage: float) -> int:
    """Which of `count` ordered scores of so many stays bounds a tail; beyond the last where no finite one does."""
    return int(np.ceil(count * (1 + 1 / stays) * (1 + coverage) / 2 - 1e-9))


def _offsets(
    below: np.ndarray, above: np.ndarray, stays: int, coverage: float, widenings: tuple[GroupWidening, ...]
) -> ConformalInterval:
    rank = _rank(len(below), stays, coverage)
    if rank > len(below):
        return ConformalInterval(coverage, -np.inf, np.inf, widenings)
    return ConformalInterval(coverage, float(np.sort(below)[-rank]), float(np.sort(above)[rank - 1]), widenings)
