"""Into which cell (stay, step, variable) an observation belongs, or why it belongs into none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from medlstm.sequences.observation_batches import ObservationBatch
from medlstm.sequences.row_ledger import UNKNOWN_STAY, RowCounts
from medlstm.sequences.waiting_rows import CellRows

_US_PER_HOUR = 3_600_000_000
# Stays that some pass of the night bins; their rows are counted by where they fall.
_MEMBER = ""


@dataclass(frozen=True)
class BinningPlan:
    """n stays: `stay_ids`, `start_us`, `end_us` (exclusive), `is_open`, `first_bin` and `steps`, all [n]; `variables`
    by name.

    What was seen up to `early_hours` before a stay's start counts in its first bin. `others`: kinds of the ledger by
    the stay_id of stays that are known, but not binned.
    """

    stay_ids: np.ndarray
    start_us: np.ndarray
    end_us: np.ndarray
    is_open: np.ndarray
    first_bin: np.ndarray
    steps: np.ndarray
    variables: tuple[str, ...]
    bin_hours: int
    early_hours: float = 0.0
    others: Mapping[str, str] = field(default_factory=dict)


class RowPlaces:
    """Where the row of a stay, time and variable belongs; what belongs nowhere is counted."""

    def __init__(self, plan: BinningPlan, parts: list[np.ndarray], counts: RowCounts) -> None:
        self.counts = counts
        self.bin_us = plan.bin_hours * _US_PER_HOUR
        self.position = pd.Index([*plan.stay_ids, *plan.others], dtype=object)
        self.variable = {name: index for index, name in enumerate(plan.variables)}
        # The last place is that of stays that nobody knows; what is not binned begins and ends at once.
        n, rest = len(plan.stay_ids), len(plan.others) + 1
        kinds = sorted(set(plan.others.values()))
        self.kinds = [_MEMBER, UNKNOWN_STAY, *kinds]
        self.kind = np.array([0] * n + [2 + kinds.index(one) for one in plan.others.values()] + [1], dtype=np.int8)
        self.part = np.full(n + rest, -1, dtype=np.int32)
        self.first_cell = np.zeros(n + rest, dtype=np.int64)
        self.cells = np.zeros(len(parts), dtype=np.int64)
        for index, part in enumerate(parts):
            steps = plan.steps[part]
            self.part[part] = index
            self.first_cell[part] = np.cumsum(steps) - steps
            self.cells[index] = steps.sum()
        self.first_us = np.append(plan.start_us + plan.first_bin * self.bin_us, np.zeros(rest, dtype=np.int64))
        self.early_us = np.append(plan.start_us - int(plan.early_hours * _US_PER_HOUR), np.zeros(rest, dtype=np.int64))
        self.begin_us = np.where(np.append(plan.first_bin, np.ones(rest)) > 0, self.first_us, self.early_us)
        self.stop_us = np.append(plan.end_us, np.zeros(rest, dtype=np.int64))
        self.is_open = np.append(plan.is_open, np.zeros(rest, dtype=bool))
        last_us = self.first_us + np.append(plan.steps * self.bin_us, np.zeros(rest, dtype=np.int64))
        self.end_us = np.minimum(self.stop_us, last_us)
        self.end_us[self.part < 0] = self.begin_us[self.part < 0]

    def rows_of(self, batch: ObservationBatch) -> Iterator[tuple[int, CellRows]]:
        """(part, rows) for each part that has rows in the batch."""
        known = np.append(self.position.get_indexer(pd.Index(batch.stays, dtype=object)), -1)
        self._count_stays(batch, known)
        if (self.part[known] < 0).all():
            return
        variable = np.append([self.variable.get(name, -1) for name in batch.variables], -1)
        rows = Located(known[batch.stay], variable[batch.variable], batch.time, batch.value)
        wanted = (rows.time >= self.begin_us[known][batch.stay]) & (rows.time < self.end_us[known][batch.stay])
        wanted &= rows.code >= 0
        if not wanted.all():
            binned = self.part[known] >= 0
            outside = ~wanted if binned.all() else ~wanted & binned[batch.stay]
            self._count_outside(rows.take(np.flatnonzero(outside)))
            rows = rows.take(np.flatnonzero(wanted))
        part = self.part[rows.stay]
        # What was seen before the admission is part of the first step.
        step = np.maximum(rows.time - self.first_us[rows.stay], 0) // self.bin_us
        cell = rows.code * self.cells[part] + self.first_cell[rows.stay] + step
        yield from _by_part(part, CellRows(cell, rows.time, rows.value))

    def _count_stays(self, batch: ObservationBatch, known: np.ndarray) -> None:
        """Rows of stays that are not binned by any pass, and of the date as a whole."""
        by_stay = np.bincount(batch.stay + 1, minlength=len(known))
        by_kind = np.bincount(self.kind[np.roll(known, 1)], weights=by_stay, minlength=len(self.kinds)).astype(np.int64)
        counted = dict(zip(self.kinds, by_kind.tolist(), strict=True))
        self.counts.note_date(batch.extract_date, len(batch.stay) + batch.dropped, counted[UNKNOWN_STAY])
        self.counts.others["without_value"] += batch.dropped
        for kind, rows in counted.items():
            if kind != _MEMBER:
                self.counts.others[kind] += rows

    def _count_outside(self, rows: "Located") -> None:
        """Rows of binned stays that belong into no cell."""
        used = rows.code >= 0
        unused = len(used) - int(np.count_nonzero(used))
        self.counts.members["unused_variable"] += unused
        stay, time = (rows.stay[used], rows.time[used]) if unused else (rows.stay, rows.time)
        is_open = self.is_open[stay]
        late = time >= self.stop_us[stay]
        asked = {
            "before_admission": time < self.early_us[stay],
            "after_cutoff": late & is_open,
            "after_discharge": late & ~is_open,
            "beyond_max_hours": time < self.begin_us[stay],
        }
        kind = np.select(list(asked.values()), list(range(len(asked))), default=len(asked))
        found = np.bincount(kind, minlength=len(asked) + 1).tolist()
        for name, count in zip([*asked, "after_last_bin"], found, strict=True):
            self.counts.members[name] += count


class Located(NamedTuple):
    """Rows with the numbers of their stay and variable in the plan."""

    stay: np.ndarray
    code: np.ndarray
    time: np.ndarray
    value: np.ndarray

    def take(self, rows: np.ndarray) -> "Located":
        return Located(*(column[rows] for column in self))


def _by_part(part: np.ndarray, rows: CellRows) -> Iterator[tuple[int, CellRows]]:
    """Rows of each part, their order kept."""
    if not len(part):
        return
    if (part == part[0]).all():
        yield int(part[0]), rows
        return
    order = np.argsort(part, kind="stable")
    parts, starts = np.unique(part[order], return_index=True)
    for one, start, end in zip(parts, starts, [*starts[1:], len(order)], strict=True):
        yield int(one), rows.take(order[start:end])
