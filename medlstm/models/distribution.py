"""The remaining stay as a distribution over day bins: its median, its mean, any quantile, any probability.

Within a bin the probability is spread evenly; beyond the last edge the stay ends at a constant rate.
"""

from dataclasses import dataclass

import numpy as np

_NARROWEST_BIN_DAYS = 1 / 24


@dataclass(frozen=True)
class RemainingStay:
    """Survival [m, E] (float64, from 1 downwards) at the edges in days [E] (from 0 upwards); m predictions.

    `tail_days` is the mean time beyond the last edge of a stay that gets there.
    """

    edges_days: np.ndarray
    tail_days: float
    survival: np.ndarray

    def __post_init__(self) -> None:
        if self.survival.ndim != 2 or self.survival.shape[1] != len(self.edges_days):
            raise ValueError(f"survival {self.survival.shape} does not fit {len(self.edges_days)} edges")

    def at(self, rows: np.ndarray) -> "RemainingStay":
        """Some of the predictions, by their places or a mask."""
        return RemainingStay(self.edges_days, self.tail_days, self.survival[rows])

    def median(self) -> np.ndarray:
        """Median remaining days [m]."""
        return self.quantile(0.5)

    def quantile(self, level: float | np.ndarray) -> np.ndarray:
        """Days [m] by which the stay has ended with probability `level`, a number or one per prediction.

        0 has ended by day 0, and 1 only at infinity (at the last edge, where nothing lies beyond it).
        """
        rows = np.arange(len(self.survival))
        still_in = 1 - np.broadcast_to(np.asarray(level, dtype=np.float64), rows.shape)
        # The bin whose right edge is the first to fall to the level.
        right = (self.survival > still_in[:, None]).sum(axis=1)
        beyond = right == len(self.edges_days)
        right = np.clip(right, 1, len(self.edges_days) - 1)
        upper, lower = self.survival[rows, right - 1], self.survival[rows, right]
        share = np.clip((upper - still_in) / np.maximum(upper - lower, 1e-12), 0.0, 1.0)
        inside = self.edges_days[right - 1] + share * (self.edges_days[right] - self.edges_days[right - 1])
        if self.tail_days == 0:
            return np.where(beyond, self.edges_days[-1], inside)
        last = self.survival[:, -1]
        with np.errstate(divide="ignore"):
            outside = self.edges_days[-1] + self.tail_days * np.log(np.maximum(last, 1e-300) / still_in)
        return np.where(beyond, outside, inside)

    def mean(self) -> np.ndarray:
        """Mean remaining days [m]: the area under the survival curve."""
        widths = np.diff(self.edges_days)
        inside = ((self.survival[:, 1:] + self.survival[:, :-1]) / 2) @ widths
        return inside + self.survival[:, -1] * self.tail_days

    def mean_until(self, days: np.ndarray) -> np.ndarray:
        """The area under the survival curve [m] up to so many days [m] >= 0: the mean of a stay that is cut there."""
        widths = np.diff(self.edges_days)
        at = np.minimum(days, self.edges_days[-1])
        inside = np.clip((at[:, None] - self.edges_days[:-1]) / widths, 0.0, 1.0)
        upper, lower = self.survival[:, :-1], self.survival[:, 1:]
        area = (inside * widths * (upper - inside * (upper - lower) / 2)).sum(axis=1)
        if self.tail_days == 0:
            return area
        beyond = np.maximum(days - self.edges_days[-1], 0.0)
        return area + self.survival[:, -1] * self.tail_days * (1 - np.exp(-beyond / self.tail_days))

    def expected_error(self, days: np.ndarray) -> np.ndarray:
        """The mean of |remaining - days| [m], in days, if this distribution is true."""
        inside = np.maximum(days, 0.0)
        return self.mean() + inside - 2 * self.mean_until(inside) + (inside - days)

    def after(self, passed_days: np.ndarray) -> "RemainingStay":
        """The distribution of what remains once so many days [m] have passed and the stay has not ended."""
        reached = 1 - self.ended_within(passed_days)
        shifted = [1 - self.ended_within(passed_days + edge) for edge in self.edges_days]
        survival = np.stack(shifted, axis=1) / np.maximum(reached, 1e-12)[:, None]
        survival[:, 0] = 1.0
        return RemainingStay(self.edges_days, self.tail_days, np.minimum(survival, 1.0))

    def ended_within(self, days: float | np.ndarray) -> np.ndarray:
        """Probability [m] that the stay ends within so many days, a number or one per prediction."""
        at = np.broadcast_to(np.asarray(days, dtype=np.float64), (len(self.survival),))
        edges = self.edges_days
        right = np.clip(np.searchsorted(edges, at, side="left"), 1, len(edges) - 1)
        rows = np.arange(len(at))
        share = np.clip((at - edges[right - 1]) / (edges[right] - edges[right - 1]), 0.0, 1.0)
        inside = self.survival[rows, right - 1] * (1 - share) + self.survival[rows, right] * share
        rate = 1 / max(self.tail_days, 1e-12)
        outside = self.survival[:, -1] * np.exp(-np.maximum(at - edges[-1], 0.0) * rate)
        return 1 - np.where(at > edges[-1], outside, inside)


def fit_edges(
    remaining_days: np.ndarray, censored: np.ndarray, bins: int, horizon_days: float | None = None
) -> tuple[tuple[float, ...], float]:
    """Bin edges in days at even quantiles of remaining days [n], some of them censored [n], finer in the upper tail;
    and the mean time beyond the last edge, at a constant hazard.

    Each end counts for as much as the product-limit curve falls there: those that are known are of short stays more
    often than not. An edge lies halfway between one observed value and the next, so that lengths in whole days are in
    the middle of their bins. With a horizon the last edge is the horizon and nothing lies beyond. Bins are at least an
    hour wide.
    """
    days, ended = np.asarray(remaining_days, dtype=np.float64), ~np.asarray(censored, dtype=bool)
    known, survival = _curve_at_ends(days, ~ended)
    fall = -np.diff(survival, prepend=1.0)
    values = known[known > 0]
    if not len(values):
        values = known = np.array([1.0, 2.0, 3.0])
        fall = np.ones(3)
    levels = np.append(np.arange(1, bins) / bins, [1 - 0.5 / bins, 1 - 0.25 / bins])
    quantiles = np.quantile(known, levels, weights=fall, method="inverted_cdf")
    above = np.clip(np.searchsorted(values, quantiles, side="right"), 1, len(values) - 1)
    edges = (values[above] + values[above - 1]) / 2
    if horizon_days is not None:
        edges = edges[edges < horizon_days - _NARROWEST_BIN_DAYS]
    kept = [0.0]
    for edge in np.unique(edges):
        if edge - kept[-1] >= _NARROWEST_BIN_DAYS:
            kept.append(float(edge))
    if horizon_days is not None:
        return (*kept, float(horizon_days)), 0.0
    if len(kept) == 1:
        kept.append(max(float(values[-1]), _NARROWEST_BIN_DAYS))
    return tuple(kept), mean_days_beyond(kept[-1], days, ~ended)


def mean_days_beyond(last: float, days: np.ndarray, censored: np.ndarray) -> float:
    """The mean time beyond the last edge at a constant hazard, from times [n], some of them censored [n]: time at risk
    by ends; 1 where nothing ended there."""
    beyond = days > last
    ends = int((beyond & ~censored).sum())
    return float((days[beyond] - last).sum() / ends) if ends else 1.0


def kaplan_meier(days: np.ndarray, censored: np.ndarray, edges_days: np.ndarray) -> np.ndarray:
    """Survival [E] at the edges from times [n] and which of them are censored [n]; product-limit estimate.

    Source: Kaplan and Meier, "Nonparametric estimation from incomplete observations", JASA 1958.
    """
    order = np.argsort(days, kind="stable")
    times, ended = np.asarray(days, dtype=np.float64)[order], ~np.asarray(censored, dtype=bool)[order]
    instants, first = np.unique(times, return_index=True)
    at_risk = len(times) - first
    events = np.add.reduceat(ended.astype(np.float64), first) if len(times) else np.empty(0)
    curve = np.concatenate([[1.0], np.cumprod(1 - events / np.maximum(at_risk, 1))])
    survival = curve[np.searchsorted(instants, edges_days, side="right")]
    survival[0] = 1.0
    return survival


def kaplan_meier_median(days: np.ndarray, censored: np.ndarray) -> float:
    """The median of times [n], some of them censored [n]; the last end where the curve stays above one half, and the
    mean where nothing ended."""
    ends, survival = _curve_at_ends(days, censored)
    if not len(ends):
        return float(np.mean(days)) if len(days) else 0.0
    reached = survival <= 0.5
    return float(ends[np.argmax(reached)] if reached.any() else ends[-1])


def _curve_at_ends(days: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times at which something ended, and the survival right after each; an end at 0 counts, too."""
    ends = np.unique(np.asarray(days, dtype=np.float64)[~np.asarray(censored, dtype=bool)])
    survival = kaplan_meier(np.asarray(days, dtype=np.float64) + 1, censored, np.append(0.0, ends + 1))
    return ends, survival[1:]
