"""Ragged sequences to padded tensors, stays of like length together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medlstm.sequences.nightly_points import NightlyPoints, followup_hours
from medlstm.sequences.stay_sequences import StaySequences

_SCORING_BATCH = 256


class RawBatch(NamedTuple):
    """What a model takes of padded stays.

    values [B, T, V], NaN where nothing was observed; numeric [B, T or 1, S] (NaN unknown) and codes [B, T or 1, C]
    (-1 unknown), one step for all where no feature changes; elapsed_hours [B, T]; late_hours [B, T, V], by how much a
    value is older than its step (infinite: nothing is known any more), or None where none is.
    """

    values: Tensor
    numeric: Tensor
    codes: Tensor
    elapsed_hours: Tensor
    late_hours: Tensor | None = None

    def as_type(self, dtype: torch.dtype) -> "RawBatch":
        """The same with all numbers of a type."""
        late = None if self.late_hours is None else self.late_hours.to(dtype)
        return RawBatch(self.values.to(dtype), self.numeric.to(dtype), self.codes, self.elapsed_hours.to(dtype), late)


@dataclass(frozen=True)
class Batch:
    """Padded stays on one device: what a model takes (`inputs`), and what became of them.

    remaining_days [B, T] is the target (for a censored stay, the time known to remain so far), censored
    [B, T] bool, followup_days [B, T] for how long after a step it is known whether the stay had ended, steps [B] the
    valid steps, died [B] 1 or 0, NaN where it is not known.
    """

    inputs: RawBatch
    remaining_days: Tensor
    censored: Tensor
    followup_days: Tensor
    steps: Tensor
    died: Tensor


@dataclass(frozen=True)
class StaticSteps:
    """Static features as a model takes them, by the step from which on they were known: version v is of one stay,
    those of stay i are `bounds[i]` to `bounds[i + 1]`, and says `numeric[v]` [S] and `codes[v]` [C] from its step
    `from_step[v]` on."""

    numeric: np.ndarray
    codes: np.ndarray
    from_step: np.ndarray
    bounds: np.ndarray

    def at(self, stay: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The version [k] that was known at steps [k] of the stays [k]."""
        version = self.bounds[stay + 1] - 1
        too_new = (self.from_step[version] > step) & (version > self.bounds[stay])
        while too_new.any():
            version = np.where(too_new, version - 1, version)
            too_new = (self.from_step[version] > step) & (version > self.bounds[stay])
        return version


@dataclass(frozen=True)
class Stays:
    """Sequences arranged for one model: its variables, its statics as numbers and codes, where the rows, late values
    and steps of each stay begin, the hours at which all steps close; and of each stay `followup_hours` and `died`."""

    sequences: StaySequences
    statics: StaticSteps
    boundaries: np.ndarray
    late_boundaries: np.ndarray
    step_boundaries: np.ndarray
    closes_hours: np.ndarray
    followup_hours: np.ndarray
    died: np.ndarray

    def __len__(self) -> int:
        return len(self.sequences)


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
    boundaries = np.searchsorted(arranged.stay, np.arange(len(arranged) + 1))
    steps_end = np.cumsum(arranged.steps)
    of_step = np.repeat(np.arange(len(arranged)), arranged.steps)
    within = np.arange(len(of_step)) - np.repeat(steps_end - arranged.steps, arranged.steps)
    return Stays(
        arranged, _static_steps(arranged, spec), boundaries, np.searchsorted(arranged.late.row, boundaries),
        np.append(0, steps_end), arranged.closes_hours(of_step, within), followup_hours(arranged),
        died(arranged.stays),
    )  # fmt: skip


def _static_steps(sequences: StaySequences, spec: InputNames) -> StaticSteps:
    """One version of stays whose features never changed, all of the others."""
    several = np.bincount(sequences.statics.stay, minlength=len(sequences)) > 0
    once = np.flatnonzero(~several)
    stay = np.concatenate([once, sequences.statics.stay])
    from_step = np.concatenate([np.zeros_like(once), sequences.statics.from_step])
    order = np.lexsort((from_step, stay))
    numeric = np.full((len(stay), len(spec.numeric)), np.nan, dtype=np.float32)
    codes = np.full((len(stay), len(spec.categories)), -1, dtype=np.int64)
    for frame, rows in ((sequences.stays.iloc[once], slice(0, len(once))),
                        (sequences.statics.frame, slice(len(once), None))):  # fmt: skip
        for column, name in enumerate(spec.numeric):
            if name in frame:
                numeric[rows, column] = pd.to_numeric(frame[name]).to_numpy(dtype=np.float32, na_value=np.nan)
        for column, (name, known) in enumerate(spec.categories.items()):
            if name in frame:
                codes[rows, column] = pd.Index(known).get_indexer(pd.Index(frame[name]))
    bounds = np.searchsorted(stay[order], np.arange(len(sequences) + 1))
    return StaticSteps(numeric[order], codes[order], from_step[order], bounds)


def collate(stays: Stays, index: np.ndarray, device: torch.device) -> Batch:
    """Pad the stays at positions `index` to the longest of them."""
    source = stays.sequences
    steps = source.steps[index]
    shape = len(index), int(steps.max())
    rows, row_of = _spans(stays.boundaries, index)
    values = np.full((*shape, len(source.variables)), np.nan, dtype=np.float32)
    values[row_of, source.step[rows]] = source.values[rows]
    closing, step_of = _spans(stays.step_boundaries, index)
    elapsed = np.broadcast_to(stays.closes_hours[stays.step_boundaries[index + 1] - 1][:, None], shape).copy()
    elapsed[step_of, closing - stays.step_boundaries[index][step_of]] = stays.closes_hours[closing]
    version = _versions(stays.statics, index, shape[1])
    duration = np.maximum(source.stays["duration_hours"].to_numpy()[index], 0.0)[:, None]
    censored = np.broadcast_to(source.stays["is_open"].to_numpy(dtype=bool)[index, None], elapsed.shape)
    late = _late_hours(stays, index, values.shape)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Batch(
        RawBatch(
            tensor(values), tensor(stays.statics.numeric[version]), tensor(stays.statics.codes[version]),
            tensor(elapsed.astype(np.float32)), None if late is None else tensor(late),
        ),
        tensor(((duration - elapsed) / 24).astype(np.float32)),
        tensor(censored.copy()),
        tensor(((stays.followup_hours[index, None] - elapsed) / 24).astype(np.float32)),
        tensor(steps),
        tensor(stays.died[index].astype(np.float32)),
    )  # fmt: skip


def _spans(bounds: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places from bounds[i] to bounds[i + 1] of each i of `index`, and which of these each is of."""
    counts = bounds[index + 1] - bounds[index]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return within + np.repeat(bounds[index], counts), np.repeat(np.arange(len(index)), counts)


def _versions(statics: StaticSteps, index: np.ndarray, length: int) -> np.ndarray:
    """The version that was known at each step [B, T], or at all of them [B, 1] where no stay has two."""
    if (statics.bounds[index + 1] - statics.bounds[index] == 1).all():
        return statics.bounds[index][:, None]
    return statics.at(np.repeat(index, length), np.tile(np.arange(length), len(index))).reshape(len(index), length)


def _late_hours(stays: Stays, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    places, row_of = _spans(stays.late_boundaries, index)
    if not len(places):
        return None
    late, hours = stays.sequences.late, np.zeros(shape, dtype=np.float32)
    hours[row_of, stays.sequences.step[late.row[places]], late.variable[places]] = late.hours[places]
    return hours


def died(stays: pd.DataFrame) -> np.ndarray:
    """1 or 0 for each stay [n], float64, NaN where it is not known."""
    if "died" not in stays:
        return np.full(len(stays), np.nan)
    return stays["died"].astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)


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


def valid_steps(steps: Tensor, length: int) -> Tensor:
    """A mask [B, length], true on the steps that a stay has."""
    return torch.arange(length, device=steps.device).unsqueeze(0) < steps.unsqueeze(1)
