"""Probabilities and orders held against stays some of which have not ended: nobody is left out for staying long.

Whoever has not ended by the day of judgement is censored. Leaving them out would judge by short stays alone; instead
those that are known stand for those that are not, by the inverse of the probability of being known (IPCW).
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FollowUp:
    """What became of m predictions: `days` float64 [m] until the stay ended, or where `ended` bool [m] is False, until
    which it is known to have gone on."""

    days: np.ndarray
    ended: np.ndarray

    def __post_init__(self) -> None:
        if self.days.shape != self.ended.shape or self.days.ndim != 1:
            raise ValueError(f"needs two vectors of the same length, got {self.days.shape} and {self.ended.shape}")

    def at(self, rows: np.ndarray) -> "FollowUp":
        """Some of the predictions, by their places or a mask."""
        return FollowUp(self.days[rows], self.ended[rows])

    def is_told(self, days: float) -> bool:
        """Whether anybody is known to have been followed up beyond so many days: else a score there has no meaning."""
        return bool((self.days > days).any())


def brier_scores(p_ended: np.ndarray, follow_up: FollowUp, at_days: np.ndarray) -> np.ndarray:
    """Mean squared error [k] of the probabilities `p_ended` [m, k] that stays have ended by `at_days` [k], weighted by
    the inverse probability of being known; NaN at a time beyond which nobody was followed up.

    Source: Graf et al., "Assessment and comparison of prognostic classification schemes for survival data", Statistics
    in Medicine 1999.
    """
    if p_ended.shape != (len(follow_up.days), len(at_days)):
        raise ValueError(f"probabilities {p_ended.shape} do not fit {len(follow_up.days)} stays, {len(at_days)} times")
    times, known = _known_curve(follow_up)
    weight_ended = _inverse(_at(times, known, follow_up.days))
    weight_in = _inverse(_at(times, known, at_days))
    scores = np.full(len(at_days), np.nan)
    for column, day in enumerate(at_days):
        if follow_up.is_told(day):
            gone = (follow_up.days <= day) & follow_up.ended
            still_in = follow_up.days > day
            error = np.where(gone, 1 - p_ended[:, column], 0.0) ** 2 * weight_ended
            scores[column] = float(np.mean(error + (p_ended[:, column] * still_in) ** 2 * weight_in[column]))
    return scores


def integrated_brier_score(scores: np.ndarray, at_days: np.ndarray) -> float:
    """The mean of Brier scores [k] over the times `at_days` [k], by trapezoids; NaN where any of them is, or with
    fewer than two times. Source: Graf et al. 1999."""
    if len(at_days) < 2:
        return float("nan")
    return float(np.trapezoid(scores, at_days) / (at_days[-1] - at_days[0]))


def concordance(predicted_days: np.ndarray, follow_up: FollowUp) -> float:
    """Of all pairs of which it is known who ended first, the share in which he was predicted to; equal predictions
    count for a half, and NaN stands where there is no pair.

    Source: Harrell et al., "Multivariable prognostic models", Statistics in Medicine 1996.
    """
    if predicted_days.shape != follow_up.days.shape:
        raise ValueError(f"{predicted_days.shape} predictions do not fit {follow_up.days.shape} stays")
    order = np.lexsort((~follow_up.ended, follow_up.days))
    days, ended, predicted = follow_up.days[order], follow_up.ended[order], predicted_days[order].tolist()
    longer: list[float] = []
    pairs, right = 0, 0.0
    last = len(days)
    # From the longest down: `longer` holds, sorted, what was predicted of all who are known to have stayed longer. Who
    # is censored at the very time of an end has stayed longer, and two ends at one time are no pair.
    while last > 0:
        first = int(np.searchsorted(days, days[last - 1], side="left"))
        ends = first + int(ended[first:last].sum())
        for place in range(ends, last):
            insort(longer, predicted[place])
        for place in range(first, ends):
            below, up_to = bisect_left(longer, predicted[place]), bisect_right(longer, predicted[place])
            right += len(longer) - up_to + (up_to - below) / 2
        pairs += (ends - first) * len(longer)
        for place in range(first, ends):
            insort(longer, predicted[place])
        last = first
    return right / pairs if pairs else float("nan")


def _known_curve(follow_up: FollowUp) -> tuple[np.ndarray, np.ndarray]:
    """The times at which stays ended or were lost sight of, and the product-limit probability that a stay that goes on
    is still in sight right after each; of those who end at the same time none is lost sight of before."""
    order = np.argsort(follow_up.days, kind="stable")
    days, ended = follow_up.days[order], follow_up.ended[order]
    times, first, count = np.unique(days, return_index=True, return_counts=True)
    ends = np.add.reduceat(ended.astype(np.int64), first) if len(days) else count
    at_risk = len(days) - first - ends
    return times, np.cumprod(1 - (count - ends) / np.maximum(at_risk, 1))


def _at(times: np.ndarray, curve: np.ndarray, days: np.ndarray) -> np.ndarray:
    return np.append(1.0, curve)[np.searchsorted(times, days, side="right")]


def _inverse(probability: np.ndarray) -> np.ndarray:
    """Nobody stands for those of whom nothing can be known."""
    return np.divide(1.0, probability, out=np.zeros_like(probability), where=probability > 0)
