"""The moments of stays that are asked about, and up to when it is known what became of them."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from medlstm.sequences.arrivals import US_PER_HOUR
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.values.instants import epoch_us, instant_us

_US_PER_DAY = 24 * US_PER_HOUR


@dataclass(frozen=True)
class NightlyPoints:
    """Moments at which a night would have scored a stay: stay [m], step [m], remaining_days [m]."""

    stay: np.ndarray
    step: np.ndarray
    remaining_days: np.ndarray


def elapsed_days(sequences: StaySequences, points: NightlyPoints) -> np.ndarray:
    """Days from admission to the close of each point's step, float64 [m]."""
    return sequences.closes_hours(points.stay, points.step) / 24


def last_points(sequences: StaySequences) -> NightlyPoints:
    """The last step of every stay: where an open stay is scored. The remaining days are those known so far."""
    duration = np.maximum(sequences.stays["duration_hours"].to_numpy(dtype=np.float64), 0.0)
    remaining = (duration - sequences.elapsed_hours()) / 24
    return NightlyPoints(np.arange(len(sequences)), sequences.steps - 1, remaining)


def nightly_points(sequences: StaySequences, cutoff: datetime) -> NightlyPoints:
    """Every past cutoff that fell inside a stay, at the step in which its night stood; of single-step stays, their
    step.

    Sequences that know no cutoffs are asked every 24 hours before `cutoff`, at the last bin that was over.
    """
    duration = np.maximum(sequences.stays["duration_hours"].to_numpy(dtype=np.float64), 0.0)
    if sequences.single_step:
        every = np.arange(len(sequences))
        return NightlyPoints(every, np.zeros(len(sequences), dtype=np.int64), duration / 24)
    start_us, until_us = epoch_us(sequences.stays["admitted_at"]), instant_us(cutoff)
    known = len(sequences.cutoffs_us) > 0
    cutoffs = sequences.cutoffs_us if known else _daily(start_us, until_us)
    cutoffs = cutoffs[cutoffs <= until_us]
    first = np.searchsorted(cutoffs, start_us, side="right")
    until = np.searchsorted(cutoffs, start_us + np.round(duration * US_PER_HOUR).astype(np.int64), side="left")
    nights = np.maximum(until - first, 0)
    stay = np.repeat(np.arange(len(sequences)), nights)
    night = np.arange(len(stay)) - np.repeat(np.cumsum(nights) - nights, nights) + first[stay]
    passed_us, bin_us = cutoffs[night] - start_us[stay], sequences.bin_hours * US_PER_HOUR
    bins = -(-passed_us // bin_us) if known else np.maximum(passed_us // bin_us, 1)
    step = bins - 1 - sequences.first_bin[stay]
    kept = (step >= 0) & (step < sequences.steps[stay])
    stay, step = stay[kept], step[kept]
    remaining = np.maximum(duration[stay] - sequences.closes_hours(stay, step), 0.0) / 24
    return NightlyPoints(stay, step, remaining)


def _daily(start_us: np.ndarray, until_us: int) -> np.ndarray:
    days = (until_us - int(start_us.min(initial=until_us))) // _US_PER_DAY
    return until_us - np.arange(days, -1, -1) * _US_PER_DAY


def followed_up(sequences: StaySequences, cutoff: datetime) -> StaySequences:
    """The same stays with `followup_hours`: from the admission to the cutoff, up to which their ends are known.

    Among stays that have ended the short ones are too many. What is compared up to the follow-up alone, of ended and
    open stays alike, is free of that.
    """
    until_cutoff = (instant_us(cutoff) - epoch_us(sequences.stays["admitted_at"])) / US_PER_HOUR
    duration = sequences.stays["duration_hours"].to_numpy(dtype=np.float64)
    known = np.where(sequences.stays["is_open"].to_numpy(dtype=bool), duration, np.maximum(until_cutoff, duration))
    return replace(sequences, stays=sequences.stays.assign(followup_hours=known))


def followup_hours(sequences: StaySequences) -> np.ndarray:
    """Hours after admission [n] up to which it is known whether the stay had ended. Without `followed_up` nothing is
    unknown of stays that have ended: infinity."""
    if "followup_hours" in sequences.stays:
        return np.maximum(sequences.stays["followup_hours"].to_numpy(dtype=np.float64), 0.0)
    duration = np.maximum(sequences.stays["duration_hours"].to_numpy(dtype=np.float64), 0.0)
    return np.where(sequences.stays["is_open"].to_numpy(dtype=bool), duration, np.inf)
