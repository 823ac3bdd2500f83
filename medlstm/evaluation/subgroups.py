"""Errors and interval coverage in parts of the stays: intervals that hold overall can still fail one ward."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

# With fewer stays a coverage of 90 % cannot be told from one of 75 %.
FEWEST_STAYS = 30
_AGE_YEARS = (0, 18, 40, 65, 80)
_ELAPSED_DAYS = (0, 1, 3, 7, 14)


@dataclass(frozen=True)
class SubgroupScore:
    """The stays whose `attribute` (a category such as ward, age, days since admission) is `group`; errors at their
    points."""

    attribute: str
    group: str
    stays: int
    points: int
    mae_days: float
    coverage: float


def group_labels(stays: pd.DataFrame, categorical: Iterable[str], numeric: Iterable[str]) -> pd.DataFrame:
    """The groups of each stay of a static frame [n], a column of text for each attribute: every category, and the band
    of years where a numeric feature is named age. Missing where it is not known."""
    labels: dict[str, pd.Series] = {}
    for name in categorical:
        if name in stays:
            labels[name] = stays[name].astype("str").where(stays[name].notna())
    for name in numeric:
        if name.lower() == "age" and name in stays:
            years = pd.to_numeric(stays[name]).to_numpy(dtype=np.float64, na_value=np.nan)
            labels[name] = _banded(years, _AGE_YEARS, "years").set_axis(stays.index)
    return pd.DataFrame(labels, index=stays.index)


def score_subgroups(
    groups: pd.DataFrame, stay: np.ndarray, elapsed_days: np.ndarray, errors_days: np.ndarray, held: np.ndarray
) -> tuple[SubgroupScore, ...]:
    """Groups of at least `FEWEST_STAYS` stays, by each of `group_labels` and by days since admission.

    Of m points: their `groups` [m], which stay each is of, days since admission, absolute errors in days, and whether
    the interval held (bool), each [m].
    """
    scores = []
    since = _banded(elapsed_days, _ELAPSED_DAYS, "days").set_axis(groups.index).rename("since admission")
    for attribute, group, chosen, count in large_groups(pd.concat([groups, since], axis=1), stay):
        mae_days, coverage = float(errors_days[chosen].mean()), float(held[chosen].mean())
        scores.append(SubgroupScore(attribute, group, count, int(chosen.sum()), mae_days, coverage))
    return tuple(scores)


def large_groups(groups: pd.DataFrame, stay: np.ndarray) -> Iterator[tuple[str, str, np.ndarray, int]]:
    """(attribute, group, which of the m points are in it [m] bool, of how many stays they are) of every group of at
    least `FEWEST_STAYS` stays; `stay` [m] is which stay each point is of. A missing label is in no group."""
    for attribute, labels in groups.items():
        for group in _in_order(labels):
            inside = (labels == group).to_numpy(dtype=bool, na_value=False)
            stays = len(np.unique(stay[inside]))
            if stays >= FEWEST_STAYS:
                yield str(attribute), group, inside, stays


def _in_order(labels: pd.Series) -> list[str]:
    """The groups that there are, bands from the lowest up."""
    if isinstance(labels.dtype, pd.CategoricalDtype):
        return [str(one) for one in labels.cat.categories]
    return sorted(labels.dropna().unique())


def _banded(values: np.ndarray, starts: tuple[int, ...], unit: str) -> pd.Series:
    """Each band begins with its start; the last one has no end."""
    labels = [f"{start} to under {end} {unit}" for start, end in pairwise(starts)]
    return pd.Series(pd.cut(values, [*starts, np.inf], right=False, labels=[*labels, f"{starts[-1]} {unit} and more"]))
