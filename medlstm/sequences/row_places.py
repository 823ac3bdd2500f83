"""Into which cell (stay, step, variable) an observation belongs, or why it belongs into none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from medlstm.sequences.arrivals import NEVER, US_PER_HOUR, Arrivals
from medlstm.sequences.observation_batches import ObservationBatch
from medlstm.sequences.row_ledger import UNKNOWN_STAY, RowCounts
from medlstm.sequences.waiting_rows import CellRows

# Stays that some pass of the night bins; their rows are counted by where they fall.
_MEMBER = ""


@dataclass(frozen=True)
class BinningPlan:
    """n stays: `stay_ids`, `start_us`, `end_us` (exclusive), `is_open`, `first_bin` and `steps` (those that nights had
    written), all [n]; `variables` by name; `arrivals` are of the same stays.

    What was seen up to `early_hours` before a stay's start counts in its first bin. `others`: kinds of the ledger by
    the stay_id of stays that are known, but not binned.
    """

    stay_ids: np.ndarray
    end_us: np.ndarray
    is_open: np.ndarray
    first_bin: np.ndarray
    steps: np.ndarray
    variables: tuple[str, ...]
    arrivals: Arrivals
    early_hours: float = 0.0
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def start_us(self) -> np.ndarray:
        return self.arrivals.axis.start_us


class RowPlaces:
    """Where the row of a stay, time and variable belongs; what belongs nowhere is counted.

    `group_of` [parts] is the group for which a part's rows are counted; `has_late` [parts] tells in which parts a row
    stands in a later step than that of its time.
    """

    def __init__(
        self, plan: BinningPlan, parts: list[np.ndarray], group_of: list[int], counts: RowCounts
    ) -> None:
        self.counts = counts
        self.group_of = np.array(group_of, dtype=np.int64)
        self.arrivals = plan.arrivals
        self.bin_us = plan.arrivals.axis.bin_us
        self.early_us = int(plan.early_hours * US_PER_HOUR)
        self.position = pd.Index([*plan.stay_ids, *plan.others], dtype=object)
        self.variable = {name: index for index, name in enumerate(plan.variables)}
        # The last place is that of stays that nobody knows.
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
        self.has_late = np.zeros(len(parts), dtype=bool)
        nothing = np.zeros(rest, dtype=np.int64)
        self.start_us = np.append(plan.start_us, nothing)
        self.end_us = np.append(plan.end_us, nothing)
        # What nights wrote stays, though the stay had ended by then, or the end was put right since.
        self.spans = plan.arrivals.ended_spans()
        soonest = np.minimum.reduce([one.end_us for one in self.spans], initial=NEVER) if self.spans else plan.end_us
        self.stop_us = np.append(np.minimum(plan.end_us, soonest), nothing)
        self.first_bin = np.append(plan.first_bin, nothing)
        self.steps_end = np.append(plan.first_bin + plan.steps, nothing)
        self.is_open = np.append(plan.is_open, np.zeros(rest, dtype=bool))

    def rows_of(self, batch: ObservationBatch) -> Iterator[tuple[int, CellRows]]:
        """(part, rows) for each part that has rows in the batch; rows of one stay and time keep their order."""
        known = np.append(self.position.get_indexer(pd.Index(batch.stays, dtype=object)), -1)
        self._count_stays(batch, known)
        binned = self.part[known] >= 0
        if not binned.any():
            return
        variable = np.append([self.variable.get(name, -1) for name in batch.variables], -1)
        rows = Located(known[batch.stay], variable[batch.variable], batch.time, batch.value)
        night = self.arrivals.nights.number_of(batch.extract_date)
        first_open = np.zeros(len(known), dtype=np.int64)
        first_open[binned] = self.arrivals.first_open_step(known[binned], night)
        begin, end = self._in_time(known, binned, first_open, night)
        in_time = (rows.time >= begin[batch.stay]) & (rows.time < end[batch.stay]) & (rows.code >= 0)
        step = np.maximum(rows.time - self.start_us[known][batch.stay], 0) // self.bin_us
        if not in_time.all():
            others = np.flatnonzero(~in_time & binned[batch.stay])
            in_time[others], step[others] = self._by_rule(rows.take(others), first_open[batch.stay[others]])
            if not in_time.all():
                kept = np.flatnonzero(in_time)
                rows, step = rows.take(kept), step[kept]
        part = self.part[rows.stay]
        cell = rows.code * self.cells[part] + self.first_cell[rows.stay] + (step - self.first_bin[rows.stay])
        yield from _by_part(part, CellRows(cell, rows.time, rows.value))

    def _in_time(
        self, known: np.ndarray, binned: np.ndarray, first_open: np.ndarray, night: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """For each stay of a batch the time from which on, and up to which, a row is plainly in the bin of its time: it
        can be written still, no cutoff divides it, and the stay has it."""
        start, first = self.start_us[known], np.maximum(self.first_bin[known], first_open)
        begin = np.where(first > 0, start + first * self.bin_us, start - self.early_us)
        cutoff, before = self.arrivals.nights.cutoff_of(night), self.arrivals.nights.cutoff_of(night - 1)
        end = np.minimum(self.stop_us[known], start + self.steps_end[known] * self.bin_us)
        end = np.minimum(end, cutoff)
        # A bin of a stay that a night did not know, or took for ended, is divided by its cutoff all the same.
        never = ~binned | (first_open < -((start - before) // self.bin_us))
        return np.where(never, NEVER, begin), end

    def _by_rule(self, rows: "Located", first_open: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which rows of binned stays belong into a cell, and the step of each: that of its time, or the first one that
        no night had written when it arrived."""
        own = self.arrivals.own_step(rows.stay, rows.time)
        step = np.maximum(own, first_open)
        late = step > own
        wanted = (rows.time >= self.start_us[rows.stay] - self.early_us) & (rows.code >= 0)
        wanted &= (step < self.steps_end[rows.stay]) & (step >= self.first_bin[rows.stay])
        for span in self.spans:
            within = (step >= span.first[rows.stay]) & (step < span.end[rows.stay])
            wanted &= ~within | (rows.time < span.end_us[rows.stay])
        outside = np.flatnonzero(~wanted)
        self._count_outside(rows.take(outside), step[outside], late[outside])
        self.has_late[self.part[rows.stay[wanted & late]]] = True
        return wanted, step

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

    def _count_outside(self, rows: "Located", step: np.ndarray, late: np.ndarray) -> None:
        """Rows of binned stays that belong into no cell; `late` are those whose `step` is not that of their time."""
        used = rows.code >= 0
        group = self.group_of[self.part[rows.stay]]
        for one, unused in zip(*np.unique(group[~used], return_counts=True), strict=True):
            self.counts.of_group(int(one))["unused_variable"] += int(unused)
        group, stay, time, step, late = (one[used] for one in (group, rows.stay, rows.time, step, late))
        is_open = self.is_open[stay]
        ended = time >= self.end_us[stay]
        asked = {
            "before_admission": time < self.start_us[stay] - self.early_us,
            "after_cutoff": ended & is_open,
            "after_discharge": ended & ~is_open,
            "beyond_max_hours": step < self.first_bin[stay],
            "arrived_too_late": late,
        }
        names = [*asked, "after_last_bin"]
        kind = np.select(list(asked.values()), list(range(len(asked))), default=len(asked))
        for one, count in zip(*np.unique(group * len(names) + kind, return_counts=True), strict=True):
            self.counts.of_group(int(one) // len(names))[names[int(one) % len(names)]] += int(count)


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
