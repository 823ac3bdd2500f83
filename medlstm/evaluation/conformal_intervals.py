"""Split conformal intervals for the remaining length of stay.

A distribution is calibrated on its own levels: which of them the calibration stays really fell between, by how
long they had been in. A point is calibrated on the log scale, where errors are even. An interval that holds for nine
in ten of all stays may hold for fewer of one group's, and calibration stays are too few to tell for each group. The
predictions out of fold are more: where they ask for more in a group than in all, its bounds are widened, the closer
to the whole difference the more stays say so, and a stay of several groups gets the widest of theirs. The widened
bounds are what is calibrated, so that what some groups get is not added to the coverage of all.
Of stays that go on the end is not known, but that their score is no less than so much: they count for those whose score
is higher (`product_limit_weights`). Ended stays alone are short ones more often than not.
Sources: Lei et al., "Distribution-free predictive inference for regression", JASA 2018, with each tail on its own;
Chernozhukov, Wüthrich and Zhu, "Distributional conformal prediction", PNAS 2021; Barber et al., "The limits of
distribution-free conditional predictive inference", Information and Inference 2021 (the widest of several groups).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from medlstm.evaluation.subgroups import large_groups
from medlstm.models.predict import Predictions

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
        `medlstm.evaluation.subgroups.group_labels`."""
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
        `medlstm.evaluation.subgroups.group_labels`."""
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
    censored: np.ndarray | None = None,
) -> Interval:
    """Fit on calibration stays that no model was trained on: predictions, actual and elapsed days >= 0, and which stay
    each is of, all [m]. Several moments of one stay tell little more than one, so what can be told is counted by stays.

    `widenings` come from other stays (`group_widenings`), `groups` [m] are those of the calibration stays; of those
    that are `censored` [m] (none unless it is given) the actual days are known to be no fewer. Raises ValueError when
    the shapes differ or there is nothing to calibrate on.
    """
    shape = predictions.days.shape
    if not shape == actual_days.shape == elapsed_days.shape == stay.shape or len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"calibration needs equal, non-empty vectors, got {shape}, {actual_days.shape}")
    scores = interval_scores(predictions, actual_days)
    lower, upper = _widened(widenings, pd.DataFrame(index=range(len(scores))) if groups is None else groups)
    below, above = scores - lower, scores - upper
    open_ended = np.zeros(len(scores), dtype=bool) if censored is None else censored
    weights = product_limit_weights(scores, open_ended)
    if predictions.remaining is None:
        tails = _tails(below, above, weights, stay, coverage)
        return ConformalInterval(coverage, *((-np.inf, np.inf) if tails is None else tails), widenings)
    band = np.searchsorted(np.array(_BAND_ENDS_DAYS), elapsed_days, side="right")
    everywhere = _levels(_tails(below, above, weights, stay, coverage))
    pairs = []
    for index in range(len(_BAND_ENDS_DAYS) + 1):
        inside = band == index
        if len(np.unique(stay[inside & ~open_ended])) < _MIN_STAYS_OF_A_BAND:
            pairs.append(everywhere)
            continue
        own = product_limit_weights(scores[inside], open_ended[inside])
        pairs.append(_levels(_tails(below[inside], above[inside], own, stay[inside], coverage)))
    lower_levels, upper_levels = zip(*pairs, strict=True)
    return DistributionInterval(coverage, _BAND_ENDS_DAYS, lower_levels, upper_levels, widenings)


def interval_scores(predictions: Predictions, actual_days: np.ndarray) -> np.ndarray:
    """How far above the prediction each actual stay [m] ended, on the scale of `GroupWidening`."""
    if predictions.remaining is None:
        return np.log1p(actual_days) - np.log1p(predictions.days)
    reached = predictions.remaining.ended_within(actual_days)
    return logit(np.clip(reached, _EXTREME_LEVEL, 1 - _EXTREME_LEVEL))


def product_limit_weights(scores: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """How many of m points each stands for: a censored one hands its own in equal parts to those of higher scores [m],
    as its score is known to be no less. What nobody is left to take is missing from the sum.

    Source: Efron, "The two sample problem with censored data", Fifth Berkeley Symposium 1967; of predicted levels it is
    the product-limit curve of Cox and Snell's residuals, JRSS B 1968.
    """
    order = np.lexsort((censored, scores))
    ended = ~censored[order]
    at_risk = len(scores) - np.arange(len(scores))
    before = np.cumprod(np.append(1.0, 1 - ended / at_risk))[:-1]
    weights = np.empty(len(scores))
    weights[order] = np.where(ended, before / at_risk * len(scores), 0.0)
    return weights


def group_widenings(
    scores: np.ndarray,
    groups: pd.DataFrame,
    stay: np.ndarray,
    coverage: float,
    censored: np.ndarray | None = None,
) -> tuple[GroupWidening, ...]:
    """The groups whose tails reach further than those of all stays, from `interval_scores` [m] of predictions out of
    fold, the `groups` [m], which stay each is of [m], and which are `censored` [m], if any.

    A group's tail begins at its conformal rank, and counts as if a hundred more stays had said that it is like all:
    by chance alone a few stays reach far, and the widest of several groups farther. Groups too small to
    be judged (`large_groups`) are left as they are.
    """
    open_ended = np.zeros(len(scores), dtype=bool) if censored is None else censored
    ends = [(1 - coverage) / 2, (1 + coverage) / 2]
    everyone = _quantiles(scores, product_limit_weights(scores, open_ended), ends)
    found = []
    for attribute, group, inside, stays in large_groups(groups, stay):
        weights = product_limit_weights(scores[inside], open_ended[inside])
        tails = _tails(scores[inside], scores[inside], weights, stay[inside], coverage)
        if tails is None or not np.isfinite(tails).all():
            continue
        told = stays / (stays + _STAYS_FOR_HALF)
        lower, upper = told * min(tails[0] - everyone[0], 0.0), told * max(tails[1] - everyone[1], 0.0)
        if lower or upper:
            found.append(GroupWidening(attribute, group, float(lower), float(upper)))
    return tuple(found)


def _tails(
    below: np.ndarray, above: np.ndarray, weights: np.ndarray, stay: np.ndarray, coverage: float
) -> tuple[float, float] | None:
    """The scores between which the share `coverage` of the next stays falls, from scores [m] less what the lower and
    the upper bounds are moved by, how many points each stands for (0: its end is not known), and which stay each is of.

    None with too few to tell. Ends that no follow-up reached lie above all others, so that the upper one is infinite
    where there are too many of them.
    """
    known = weights > 0
    stays = len(np.unique(stay[known]))
    if stays == 0:
        return None
    total = len(weights)
    wanted = total * ((1 + 1 / stays) * (1 + coverage) / 2 - 1e-9)
    if wanted > total:
        return None
    missing = total - float(weights.sum())
    lower = _score_at(-below[known], weights[known], wanted - missing)
    return -lower, _score_at(above[known], weights[known], wanted)


def _quantiles(scores: np.ndarray, weights: np.ndarray, levels: list[float]) -> np.ndarray:
    """Quantiles of scores [m] that stand for so many [m], straight lines between them."""
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weights[order]) - weights[order]
    return np.interp(levels, below / max(float(below[-1]), 1e-12), scores[order])


def _score_at(scores: np.ndarray, weights: np.ndarray, wanted: float) -> float:
    """The least of the scores [n] up to which the weights [n] add up to what is wanted; infinite where they do not."""
    order = np.argsort(scores, kind="stable")
    place = int(np.searchsorted(np.cumsum(weights[order]), wanted, side="left"))
    return float(scores[order][place]) if place < len(scores) else float("inf")


def _levels(tails: tuple[float, float] | None) -> tuple[float, float]:
    """Tails in log odds as levels; (0, 1) with too few to tell."""
    if tails is None:
        return 0.0, 1.0
    lower, upper = tails
    # What was clipped stands for all that lies beyond it; and the median is always within its bounds.
    lower_level = float(expit(lower)) if lower > logit(_EXTREME_LEVEL) else 0.0
    upper_level = float(expit(upper)) if upper < logit(1 - _EXTREME_LEVEL) else 1.0
    return min(lower_level, 0.5), max(upper_level, 0.5)
