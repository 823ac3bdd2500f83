"""Which inputs tell of the discharge because somebody wrote them down at, or after, it: what no night will have.

Three signs, each with its numbers. A static feature that comes with the end of stays that nights had seen without it.
One that is known of ended stays far more often than of open ones that have lasted as long. And an input whose mere
presence tells, better than chance by far, that a stay ends within a day.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days
from medlstm.sequences.stay_sequences import StaySequences

Sign = Literal["comes_with_the_end", "known_of_the_ended", "presence_tells"]
LEAK_ADVICE = (
    "what comes with the end no night will have: see [features] known_from and leak_action, or leave it out"
)
_FEWEST_STAYS = 30
_MOST_WITH_THE_END = 0.1
_MOST_DIFFERENCE = 0.2
_MOST_AUROC = 0.65
_NORMAL_95 = 1.96
_DRAWS = 200
_STRATA_DAYS = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, np.inf)


@dataclass(frozen=True)
class Leak:
    """An input under suspicion: the sign, its number with 95 % bounds, and of how many stays."""

    name: str
    sign: Sign
    value: float
    lower: float
    upper: float
    stays: int

    def __str__(self) -> str:
        low, high = f"{self.lower:.2f}", f"{self.upper:.2f}"
        if self.sign == "comes_with_the_end":
            return (f"{self.name} was written down with the discharge, or after it, of {self.value:.0%} of "
                    f"{self.stays} stays that nights saw in a bed and that have ended ({low} to {high})")  # fmt: skip
        if self.sign == "known_of_the_ended":
            return (f"{self.name} is known of ended stays more often by {self.value:.0%} than of open ones that have "
                    f"lasted as long ({low} to {high}, {self.stays} stays)")  # fmt: skip
        return (f"whether {self.name} is there tells that a stay ends within 24 hours (AUROC {self.value:.2f}, {low} "
                f"to {high}, {self.stays} stays)")  # fmt: skip


def find_leaks(
    sequences: StaySequences, points: NightlyPoints, statics: list[str], variables: tuple[str, ...]
) -> tuple[Leak, ...]:
    """The inputs that training stays show signs of, one sign each: the first of the three that holds.

    `points` are the nights of the stays; only stays that were followed up count. Too few stays tell nothing.
    """
    found = [
        _comes_with_the_end(sequences, name) or _known_of_the_ended(sequences, name)
        or _presence_tells(name, _static_known(sequences, points, name), sequences, points)
        for name in statics
    ]  # fmt: skip
    found += [_presence_tells(name, _observed(sequences, points, name), sequences, points) for name in variables]
    return tuple(one for one in found if one is not None)


def _comes_with_the_end(sequences: StaySequences, name: str) -> Leak | None:
    told, of = sequences.told_with_end.get(name, (0, 0))
    if of < _FEWEST_STAYS:
        return None
    share, width = told / of, _NORMAL_95 * np.sqrt(told / of * (1 - told / of) / of)
    if share - width <= _MOST_WITH_THE_END:
        return None
    return Leak(name, "comes_with_the_end", share, float(share - width), float(share + width), of)


def _known_of_the_ended(sequences: StaySequences, name: str) -> Leak | None:
    """The difference of the shares within strata of the days so far, weighted by the rarer of the two sides."""
    stays = sequences.stays
    known = stays[name].notna().to_numpy() if name in stays else np.zeros(len(stays), dtype=bool)
    is_open = stays["is_open"].to_numpy(dtype=bool)
    stratum = np.searchsorted(_STRATA_DAYS, stays["duration_hours"].to_numpy() / 24, side="right")
    total = weights = variance = 0.0
    for one in np.unique(stratum):
        ended, still = known[(stratum == one) & ~is_open], known[(stratum == one) & is_open]
        if not len(ended) or not len(still):
            continue
        weight = len(ended) * len(still) / (len(ended) + len(still))
        total += weight * (ended.mean() - still.mean())
        variance += weight**2 * sum((side.mean() * (1 - side.mean()) + 1 / len(side)) / len(side)
                                    for side in (ended, still))  # fmt: skip
        weights += weight
    if min(int(is_open.sum()), int((~is_open).sum())) < _FEWEST_STAYS or not weights:
        return None
    difference, width = total / weights, _NORMAL_95 * np.sqrt(variance) / weights
    if difference - width <= _MOST_DIFFERENCE:
        return None
    return Leak(name, "known_of_the_ended", float(difference), float(difference - width), float(difference + width),
                len(stays))  # fmt: skip


def _presence_tells(name: str, present: np.ndarray, sequences: StaySequences, points: NightlyPoints) -> Leak | None:
    """The AUROC of presence alone, among nights of stays that have lasted as long; bounds by drawing stays anew."""
    is_open = sequences.stays["is_open"].to_numpy(dtype=bool)[points.stay]
    ends = ~is_open & (points.remaining_days <= 1)
    told = ends | (points.remaining_days > 1)
    stay, present, ends = points.stay[told], present[told], ends[told]
    stratum = np.searchsorted(_STRATA_DAYS, elapsed_days(sequences, points)[told], side="right")
    stays = np.unique(stay)
    if len(stays) < _FEWEST_STAYS or present.all() or not present.any():
        return None
    value = _auroc(present, ends, stratum, np.ones(len(stay)))
    if value <= _MOST_AUROC:
        return None
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS):
        times = np.bincount(generator.integers(0, len(stays), len(stays)), minlength=len(stays))
        drawn.append(_auroc(present, ends, stratum, times[np.searchsorted(stays, stay)].astype(np.float64)))
    lower, upper = np.quantile(drawn, [0.025, 0.975])
    if lower <= _MOST_AUROC:
        return None
    return Leak(name, "presence_tells", value, float(lower), float(upper), len(stays))


def _auroc(present: np.ndarray, ends: np.ndarray, stratum: np.ndarray, weight: np.ndarray) -> float:
    """(1 + sensitivity - false alarms) / 2 of a yes or no, in each stratum, weighted by its pairs."""
    total = pairs = 0.0
    for one in np.unique(stratum):
        within = stratum == one
        yes, no = weight * (within & ends), weight * (within & ~ends)
        if yes.sum() and no.sum():
            area = (1 + (yes * present).sum() / yes.sum() - (no * present).sum() / no.sum()) / 2
            total += area * yes.sum() * no.sum()
            pairs += yes.sum() * no.sum()
    return float(total / pairs) if pairs else 0.5


def _static_known(sequences: StaySequences, points: NightlyPoints, name: str) -> np.ndarray:
    """Whether the feature was known at each point [m]."""
    stays = sequences.stays
    known = stays[name].notna().to_numpy()[points.stay] if name in stays else np.zeros(len(points.stay), dtype=bool)
    versions = sequences.statics
    if name not in versions.frame or not len(versions.stay):
        return known
    told = versions.frame[name].notna().to_numpy()
    place = np.searchsorted(
        versions.stay.astype(np.int64) << 32 | versions.from_step, points.stay.astype(np.int64) << 32 | points.step,
        side="right",
    ) - 1  # fmt: skip
    changing = (place >= 0) & (versions.stay[place] == points.stay)
    return np.where(changing, told[place], known)


def _observed(sequences: StaySequences, points: NightlyPoints, name: str) -> np.ndarray:
    """Whether the variable had been observed by each point [m]."""
    column = sequences.values[:, sequences.variables.index(name)]
    rows = np.flatnonzero(~np.isnan(column))
    first = pd.Series(sequences.step[rows]).groupby(sequences.stay[rows]).min()
    begins = first.reindex(points.stay).to_numpy(dtype=np.float64)
    return begins <= points.step
