"""Admitted observations to the last value per stay, step and variable, in one pass and within a memory limit.

Each row goes to its cell (stay, step, variable): that of its time, or of the first step that no night had written when
it arrived. Of two rows of a cell the later in time wins, and of two of the same time the one that arrived later. Cells
are dense but held for some stays at a time: rows of the others wait in
temporary files that have no name, so that no crash leaves them behind.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medlstm.lake.prefetch import prefetched
from medlstm.sequences.late_rows import NO_LATE_CELLS, LateCells, StayCells, resolve_late
from medlstm.sequences.observation_batches import observation_batches
from medlstm.sequences.row_ledger import IN_A_BIN, OVERWRITTEN, RowCounts
from medlstm.sequences.row_places import BinningPlan, RowPlaces
from medlstm.sequences.waiting_rows import CellRows, WaitingRows

_NEVER = np.iinfo(np.int64).min
_BYTES_PER_CELL = 12
# Cells of a part take this share of the memory: small enough to stay in caches, large enough to be few.
_PARTS_IN_MEMORY = 16


@dataclass(frozen=True)
class BinnedStays:
    """Rows of consecutive stays: row r is step `step[r]` of stay `stay[r]`; `values` [variables, rows] float32.

    Only steps with a value, or with a word on one, are rows; NaN where a variable has none. Of values that stand in a
    later step than that of their time, `late` [k] are their rows and variables and by how many steps.
    """

    stay: np.ndarray
    step: np.ndarray
    values: np.ndarray
    late: LateCells


def bin_observations(
    partitions: list[Path],
    plan: BinningPlan,
    groups: list[np.ndarray],
    memory_bytes: int,
    scratch: Path,
    counts: RowCounts,
) -> Iterator[BinnedStays]:
    """The binned rows of the stays in `groups` (stay numbers, ascending), in that order.

    `partitions` are files of admitted observations in the order in which they arrived. Groups are split into parts
    of at most `memory_bytes` of cells; the split depends on the group alone. What becomes of every row is counted in
    `counts`, which is whole once the last rows have been taken.
    """
    split = [(number, part) for number, group in enumerate(groups)
             for part in _parts(plan, group, memory_bytes // _PARTS_IN_MEMORY)]  # fmt: skip
    group_of, parts = [number for number, _ in split], [part for _, part in split]
    place = RowPlaces(plan, parts, group_of, counts)
    cells = _Cells(max((int(plan.steps[part].sum()) for part in parts), default=0) * len(plan.variables))
    with WaitingRows(len(parts), memory_bytes // 4, scratch) as waiting:
        for batch in prefetched(observation_batches(partitions), ahead=2):
            for part, rows in place.rows_of(batch):
                waiting.add(part, rows)
        for index, stays in enumerate(parts):
            marks = _Marks(bool(waiting.taken_back[index]), bool(place.has_late[index]))
            binned = _binned(plan, stays, waiting.take(index), marks, cells, counts.of_group(group_of[index]))
            if len(binned.stay):
                yield binned


def _parts(plan: BinningPlan, group: np.ndarray, part_bytes: int) -> list[np.ndarray]:
    cells = np.cumsum(plan.steps[group]) * len(plan.variables)
    part = (cells - 1) * _BYTES_PER_CELL // max(part_bytes, 1)
    edges = np.flatnonzero(np.diff(part)) + 1
    return [one for one in np.split(group, edges) if len(one)]


class _Cells:
    """Room for the cells of one part after the other: memory that is new costs more than what is done in it."""

    def __init__(self, size: int) -> None:
        self._values = np.empty(size, dtype=np.float32)
        self._times = np.empty(size, dtype=np.int64)

    def emptied(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and times of so many cells, all of them without a row."""
        values, times = self._values[:size], self._times[:size]
        values.fill(np.nan)
        times.fill(_NEVER)
        return values, times


class _Marks(NamedTuple):
    """Whether rows of a part were taken back, and whether some stand in a later step than that of their time."""

    taken_back: bool
    late: bool


def _binned(
    plan: BinningPlan, part: np.ndarray, batches: Iterator[CellRows], marks: _Marks, room: _Cells, counts: Counter[str]
) -> BinnedStays:
    steps = plan.steps[part]
    cells = int(steps.sum())
    values, times = room.emptied(cells * len(plan.variables))
    kept: list[CellRows] = []
    placed_rows = 0
    for rows in batches:
        placed_rows += len(rows.cell)
        # Equal times count as newer: a later extract corrects an earlier one, a later row the one before it.
        newer = rows.time >= times[rows.cell]
        placed = rows if newer.all() else rows.take(np.flatnonzero(newer))
        times[placed.cell] = placed.time
        values[placed.cell] = placed.value
        if marks.taken_back:
            kept.append(rows)
    withdrawn = _resolve_taken_back(kept, values) if marks.taken_back else Counter[str]()
    late, restored = NO_LATE_CELLS, 0
    if marks.late:
        late, restored = resolve_late(StayCells(plan, part), CellRows.joined(kept), times, values)
    table = values.reshape(len(plan.variables), cells)
    has_value = ~np.isnan(table)
    in_a_bin = int(np.count_nonzero(has_value)) - restored
    counts.update(withdrawn)
    counts.update({IN_A_BIN: in_a_bin, OVERWRITTEN: placed_rows - in_a_bin - withdrawn.total()})
    is_row = has_value.any(axis=0)
    is_row[late.place % cells] = True
    seen = np.flatnonzero(is_row)
    first = np.cumsum(steps) - steps
    stay = np.searchsorted(first, seen, side="right") - 1
    return BinnedStays(part[stay], (seen - first[stay]).astype(np.int32), table[:, seen], late.among(seen, cells))


def _resolve_taken_back(batches: list[CellRows], values: np.ndarray) -> Counter[str]:
    """In cells with a row that was taken back: of each time the version that came last counts, then the last time
    whose version is a value. Counts the marks, and the values that they take back."""
    cells = np.unique(np.concatenate([rows.cell[np.isnan(rows.value)] for rows in batches]))
    concerned = [rows.take(np.flatnonzero(np.isin(rows.cell, cells))) for rows in batches]
    cell, time, value = (np.concatenate([rows[index] for rows in concerned]) for index in range(3))
    order = np.lexsort((np.arange(len(cell)), time, cell))
    cell, time, value = cell[order], time[order], value[order]
    last_version = np.ones(len(cell), dtype=bool)
    last_version[:-1] = (cell[1:] != cell[:-1]) | (time[1:] != time[:-1])
    standing = last_version & ~np.isnan(value)
    values[cells] = np.nan
    values[cell[standing]] = value[standing]
    marks = np.isnan(value)
    version = np.cumsum(np.append(True, last_version[:-1])) - 1
    back = marks[last_version][version]
    return Counter({"takes_back": int(marks.sum()), "taken_back": int((back & ~marks).sum())})
