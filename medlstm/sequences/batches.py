"""Ragged sequences to padded tensors, stays of like length together, and the moments that are asked about."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medlstm.sequences.cohort import instant_us
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.values.instants import epoch_us

_SCORING_BATCH = 256
_MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Batch:
    """Padded stays on one device; see ClinicalInputs.forward for the first four.

    remaining_days [B, T] is the target (for a censored stay, the time known to remain so far), censored
    [B, T] bool, followup_days [B, T] for how long after a step it is known whether the stay had ended, steps [B] the
    valid steps, died [B] 1 or 0, NaN where it is not known.
    """

    values: Tensor
    numeric: Tensor
    codes: Tensor
    elapsed_hours: Tensor
    remaining_days: Tensor
    censored: Tensor
    followup_days: Tensor
    steps: Tensor
    died: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.values, self.numeric, self.codes, self.elapsed_hours


@dataclass(frozen=True)
class Stays:
    """Sequences arranged for one model: its variables, its statics as numbers and codes, row boundaries; and of each
    stay `followup_hours` and `died`, which every batch takes from."""

    sequences: StaySequences
    numeric: np.ndarray
    codes: np.ndarray
    boundaries: np.ndarray
    followup_hours: np.ndarray
    died: np.ndarray

    def __len__(self) -> int:
        return len(self.sequences)


@dataclass(frozen=True)
class NightlyPoints:
    """Moments at which a night would have scored a stay: stay [m], step [m], remaining_days [m]."""

    stay: np.ndarray
    step: np.ndarray
    remaining_days: np.ndarray


class InputNames(Protocol):
    """What a model takes of a stay, by name; a category's texts are those that it knows, in the order of their
    codes."""

    @property
    def variables(self) -> tuple[str, ...]: ...

    @property
    def numeric(self) -> tuple[str, ...]: ...

    @property
    def categories(self) -> dict[str, tuple[str, ...]]: ...


def arrange(sequences: StaySequences, spec: InputNames) -> Stays:
    """Bring stays into the shape that a model takes, such as one of a ModelSpec; unknown categories become -1."""
    arranged = sequences.with_variables(spec.variables)
    frame = arranged.stays
    numeric = np.full((len(frame), len(spec.numeric)), np.nan, dtype=np.float32)
    for column, name in enumerate(spec.numeric):
        if name in frame:
            numeric[:, column] = pd.to_numeric(frame[name]).to_numpy(dtype=np.float32, na_value=np.nan)
    codes = np.full((len(frame), len(spec.categories)), -1, dtype=np.int64)
    for column, (name, known) in enumerate(spec.categories.items()):
        if name in frame:
            codes[:, column] = pd.Index(known).get_indexer(pd.Index(frame[name]))
    boundaries = np.searchsorted(arranged.stay, np.arange(len(frame) + 1))
    return Stays(arranged, numeric, codes, boundaries, followup_hours(arranged), died(frame))


def collate(stays: Stays, index: np.ndarray, device: torch.device) -> Batch:
    """Pad the stays at positions `index` to the longest of them."""
    source = stays.sequences
    steps = source.steps[index]
    length = int(steps.max())
    counts = stays.boundaries[index + 1] - stays.boundaries[index]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = within + np.repeat(stays.boundaries[index], counts)
    values = np.full((len(index), length, len(source.variables)), np.nan, dtype=np.float32)
    values[np.repeat(np.arange(len(index)), counts), source.step[rows]] = source.values[rows]
    duration = np.maximum(source.stays["duration_hours"].to_numpy()[index], 0.0)[:, None]
    elapsed = _elapsed_hours(source, index, length, duration)
    censored = np.broadcast_to(source.stays["is_open"].to_numpy(dtype=bool)[index, None], elapsed.shape)
    arrays = (
        values,
        stays.numeric[index],
        stays.codes[index],
        elapsed.astype(np.float32),
        ((duration - elapsed) / 24).astype(np.float32),
        censored.copy(),
        ((stays.followup_hours[index, None] - elapsed) / 24).astype(np.float32),
        steps,
        stays.died[index].astype(np.float32),
    )
    return Batch(*(torch.from_numpy(array).to(device) for array in arrays))


def followed_up(sequences: StaySequences, cutoff: datetime) -> StaySequences:
    """The same stays with `followup_hours`: from the admission to the cutoff, up to which their ends are known.

    Among stays that have ended the short ones are too many. What is compared up to the follow-up alone, of ended and
    open stays alike, is free of that.
    """
    until_cutoff = (instant_us(cutoff) - epoch_us(sequences.stays["admitted_at"])) / _MICROSECONDS_PER_HOUR
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


def died(stays: pd.DataFrame) -> np.ndarray:
    """1 or 0 for each stay [n], float64, NaN where it is not known."""
    if "died" not in stays:
        return np.full(len(stays), np.nan)
    return stays["died"].astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)


def _elapsed_hours(source: StaySequences, index: np.ndarray, length: int, duration: np.ndarray) -> np.ndarray:
    """Hours from admission to the close of each step [B, T], never later than the end of the stay."""
    if source.single_step:
        return np.zeros((len(index), length))
    closes = (source.first_bin[index, None] + np.arange(1, length + 1)) * float(source.bin_hours)
    return np.minimum(closes, duration)


def shuffled_batches(stays: int, batch_size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Random batches of so many stays, whatever their length: the length of a stay is nearly its label, so that
    a batch of stays of like length would pull the outputs up or down as a whole."""
    order = generator.permutation(stays)
    return [order[first : first + batch_size] for first in range(0, stays, batch_size)]


def parts_of_like_length(index: np.ndarray, steps: np.ndarray) -> list[np.ndarray]:
    """The stays `index` of a batch in parts, in each of which the longest is less than twice as long as the shortest:
    what little padding needs. Gradients of the parts add up to the batch's."""
    octave = np.frexp(steps[index])[1]
    return [index[octave == one] for one in np.unique(octave)]


def ordered_batches(steps: np.ndarray, batch_size: int = _SCORING_BATCH) -> Iterator[np.ndarray]:
    """All stays once, shortest first, the same batches for the same stays."""
    order = np.argsort(steps, kind="stable")
    for first in range(0, len(order), batch_size):
        yield order[first : first + batch_size]


def batches_at(
    stays: Stays, points: NightlyPoints, device: torch.device
) -> Iterator[tuple[np.ndarray, Batch, Tensor, Tensor]]:
    """The stays that have points, in batches: which points [k] these are, the batch, and the row and step of each."""
    order = np.argsort(points.stay, kind="stable")
    wanted, starts, sizes = np.unique(points.stay[order], return_index=True, return_counts=True)
    for chosen in ordered_batches(stays.sequences.steps[wanted]):
        within = np.concatenate([order[starts[one] : starts[one] + sizes[one]] for one in chosen])
        row = torch.from_numpy(np.repeat(np.arange(len(chosen)), sizes[chosen])).to(device)
        step = torch.from_numpy(points.step[within]).to(device)
        yield within, collate(stays, wanted[chosen], device), row, step


def elapsed_days(sequences: StaySequences, points: NightlyPoints) -> np.ndarray:
    """Days from admission to the close of each point's step, float64 [m]."""
    if sequences.single_step:
        return np.zeros(len(points.stay))
    closes = (sequences.first_bin[points.stay] + points.step + 1) * float(sequences.bin_hours)
    duration = np.maximum(sequences.stays["duration_hours"].to_numpy(dtype=np.float64), 0.0)[points.stay]
    return np.minimum(closes, duration) / 24


def last_points(sequences: StaySequences) -> NightlyPoints:
    """The last step of every stay: where an open stay is scored. The remaining days are those known so far."""
    duration = np.maximum(sequences.stays["duration_hours"].to_numpy(dtype=np.float64), 0.0)
    remaining = (duration - sequences.elapsed_hours()) / 24
    return NightlyPoints(np.arange(len(sequences)), sequences.steps - 1, remaining)


def nightly_points(sequences: StaySequences, cutoff: datetime) -> NightlyPoints:
    """Every past cutoff that fell inside a stay, at its last closed step; of single-step stays, their step."""
    duration = np.maximum(sequences.stays["duration_hours"].to_numpy(dtype=np.float64), 0.0)
    if sequences.single_step:
        every = np.arange(len(sequences))
        return NightlyPoints(every, np.zeros(len(sequences), dtype=np.int64), duration / 24)
    hours_before = (instant_us(cutoff) - epoch_us(sequences.stays["admitted_at"])) / _MICROSECONDS_PER_HOUR
    first_night = np.mod(hours_before, 24)
    nights = np.maximum(np.ceil((duration - first_night) / 24), 0).astype(np.int64)
    stay = np.repeat(np.arange(len(sequences)), nights)
    night = np.arange(nights.sum()) - np.repeat(np.cumsum(nights) - nights, nights)
    closed = np.floor((first_night[stay] + 24 * night) / sequences.bin_hours).astype(np.int64)
    step = np.maximum(closed, 1) - 1 - sequences.first_bin[stay]
    kept = (step >= 0) & (step < sequences.steps[stay])
    stay, step = stay[kept], step[kept]
    closes = (sequences.first_bin[stay] + step + 1) * float(sequences.bin_hours)
    return NightlyPoints(stay, step, np.maximum(duration[stay] - closes, 0.0) / 24)


def valid_steps(steps: Tensor, length: int) -> Tensor:
    """A mask [B, length], true on the steps that a stay has."""
    return torch.arange(length, device=steps.device).unsqueeze(0) < steps.unsqueeze(1)
