"""Errors and interval coverage in parts of the stays: intervals that hold overall can still fail one ward."""

from collections.abc import Iterator
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


def score_subgroups(
    stays: pd.DataFrame,
    categorical: list[str],
    numeric: list[str],
    stay: np.ndarray,
    elapsed_days: np.ndarray,
    errors_days: np.ndarray,
    held: np.ndarray,
) -> tuple[SubgroupScore, ...]:
    """Groups of at least `FEWEST_STAYS` stays, by each category, by age where a numeric feature is named so, and by
    days since admission.

    `stays` is the static frame [n]; of m points `stay` [m] is the row of it, `elapsed_days` [m], absolute errors
    `errors_days` [m] and whether the interval held, `held` [m] bool.
    """
    scores = []
    for attribute, groups in _groupings(stays, categorical, numeric, stay, elapsed_days):
        for group in groups.cat.categories:
            chosen = (groups == group).to_numpy()
            count = len(np.unique(stay[chosen]))
            if count >= FEWEST_STAYS:
                mae_days, coverage = float(errors_days[chosen].mean()), float(held[chosen].mean())
                scores.append(SubgroupScore(attribute, str(group), count, int(chosen.sum()), mae_days, coverage))
    return tuple(scores)


def _groupings(
    stays: pd.DataFrame, categorical: list[str], numeric: list[str], stay: np.ndarray, elapsed_days: np.ndarray
) -> Iterator[tuple[str, pd.Series]]:
    """(attribute, category of each point [m])."""
    for name in categorical:
        if name in stays:
            yield name, stays[name].astype("category").iloc[stay].reset_index(drop=True)
    for name in numeric:
        if name.lower() == "age" and name in stays:
            years = pd.to_numeric(stays[name]).to_numpy(dtype=np.float64, na_value=np.nan)[stay]
            yield name, _banded(years, _AGE_YEARS, "years")
    yield "since admission", _banded(elapsed_days, _ELAPSED_DAYS, "days")


def _banded(values: np.ndarray, starts: tuple[int, ...], unit: str) -> pd.Series:
    """Each band begins with its start; the last one has no end."""
    labels = [f"{start} to under {end} {unit}" for start, end in pairwise(starts)]
    return pd.Series(pd.cut(values, [*starts, np.inf], right=False, labels=[*labels, f"{starts[-1]} {unit} and more"]))
