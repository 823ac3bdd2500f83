"""What a ward knows without a model: how long stays like this one go on, given how long they have been."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medlstm.models.distribution import RemainingStay, kaplan_meier, mean_days_beyond

_EDGES = 200
_FEWEST_DISCHARGED = 30
_FEWEST_AT_RISK = 10


@dataclass(frozen=True)
class GroupCurve:
    """Survival at the edges of the stays of one group, of which so many were discharged."""

    group: str
    discharged: int
    survival: tuple[float, ...]


@dataclass(frozen=True)
class KaplanMeierBaseline:
    """The product-limit curve of the length of stay, of all training stays and of each group that is large enough.

    Survival is at `edges_days` after the admission, from 0 upwards; `tail_days` is the mean time beyond the last edge
    of a stay that gets there. Source: Kaplan and Meier, "Nonparametric estimation from incomplete observations",
    JASA 1958.
    """

    group_column: str | None
    edges_days: tuple[float, ...]
    tail_days: float
    pooled: tuple[float, ...]
    groups: tuple[GroupCurve, ...] = ()

    def remaining(self, stays: pd.DataFrame, elapsed_days: np.ndarray) -> RemainingStay:
        """What remains of stays with statics `stays` [m] that have lasted `elapsed_days` [m] and go on: the curve of
        the group, or of all stays where the group is not known or was too small."""
        curves = np.array([self.pooled, *(one.survival for one in self.groups)])
        which = np.zeros(len(stays), dtype=np.int64)
        if self.group_column is not None and self.group_column in stays:
            names = pd.Index([one.group for one in self.groups], dtype="object")
            which = names.get_indexer(pd.Index(_labels(stays[self.group_column]))) + 1
        return RemainingStay(np.array(self.edges_days), self.tail_days, curves[which]).after(elapsed_days)


def fit_baseline(stays: pd.DataFrame, group_column: str | None) -> KaplanMeierBaseline:
    """Fit on training stays: `duration_hours`, `is_open` (censored), and the group where there is a column of it.

    A group with fewer than 30 discharged stays has no curve of its own, and where fewer than ten of a group's stays go
    on its curve falls as that of all stays does.
    """
    days = np.maximum(stays["duration_hours"].to_numpy(dtype=np.float64) / 24, 0.0)
    censored = stays["is_open"].to_numpy(dtype=bool)
    edges = _edges(days, censored)
    pooled = kaplan_meier(days, censored, edges)
    groups = []
    if group_column is not None and group_column in stays:
        labels = _labels(stays[group_column])
        for name in sorted(set(labels) - {None}):
            inside = labels == name
            discharged = int((~censored[inside]).sum())
            if discharged >= _FEWEST_DISCHARGED:
                survival = _group_survival(days[inside], censored[inside], edges, pooled)
                groups.append(GroupCurve(name, discharged, tuple(survival.tolist())))
    return KaplanMeierBaseline(
        group_column, tuple(edges.tolist()), mean_days_beyond(edges[-1], days, censored), tuple(pooled.tolist()),
        tuple(groups),
    )  # fmt: skip


def _labels(column: pd.Series) -> np.ndarray:
    """Text [n], None where it is not known."""
    return column.astype("str").astype("object").where(column.notna(), None).to_numpy(dtype=object)


def _edges(days: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """Moments of discharge, thinned to even quantiles, up to the last that at least ten stays have reached."""
    ordered = np.sort(days)
    last = ordered[-_FEWEST_AT_RISK] if len(ordered) > _FEWEST_AT_RISK else ordered[len(ordered) // 2]
    ends = np.unique(days[~censored & (days > 0) & (days <= last)])
    if len(ends) > _EDGES:
        ends = np.unique(np.quantile(ends, np.linspace(0, 1, _EDGES), method="inverted_cdf"))
    return np.array([0.0, *(ends if len(ends) else [1.0])])


def _group_survival(days: np.ndarray, censored: np.ndarray, edges: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    own = kaplan_meier(days, censored, edges)
    at_risk = (days[:, None] >= edges[None, :-1]).sum(axis=0)
    told = (at_risk >= _FEWEST_AT_RISK) & (own[1:] > 0)
    ratio = np.where(told, own[1:] / np.maximum(own[:-1], 1e-12), pooled[1:] / np.maximum(pooled[:-1], 1e-12))
    return np.concatenate([[1.0], np.cumprod(ratio)])
