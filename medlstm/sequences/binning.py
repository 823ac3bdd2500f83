"""Admitted observations to the last value per stay, step and variable, in one pass and within a memory limit.

Each row goes to its cell (stay, step, variable). Of two rows of a cell the later in time wins, and of two of the same
time the one that arrived later. Cells are dense but held for some stays at a time: rows of the others wait in
temporary files that have no name, so that no crash leaves them behind.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.lake.file_order import file_order
from medlstm.lake.prefetch import prefetched
from medlstm.lake.schemas import RETRACTED
from medlstm.sequences.waiting_rows import CellRows, WaitingRows

_US_PER_HOUR = 3_600_000_000
_NEVER = np.iinfo(np.int64).min
_BYTES_PER_CELL = 12
# Cells of a part take this share of the memory: small enough to stay in caches, large enough to be few.
_PARTS_IN_MEMORY = 16


@dataclass(frozen=True)
class BinningPlan:
    """n stays: `stay_ids`, `start_us`, `end_us` (exclusive), `first_bin` and `steps`, all [n]; `variables` by name."""

    stay_ids: np.ndarray
    start_us: np.ndarray
    end_us: np.ndarray
    first_bin: np.ndarray
    steps: np.ndarray
    variables: tuple[str, ...]
    bin_hours: int


@dataclass(frozen=True)
class BinnedStays:
    """Rows of consecutive stays: row r is step `step[r]` of stay `stay[r]`; `values` [variables, rows] float32.

    Only steps with a value are rows; NaN where a variable has none.
    """

    stay: np.ndarray
    step: np.ndarray
    values: np.ndarray


def bin_observations(
    partitions: list[Path], plan: BinningPlan, groups: list[np.ndarray], memory_bytes: int, scratch: Path
) -> Iterator[BinnedStays]:
    """The binned rows of the stays in `groups` (stay numbers, ascending), in that order.

    `partitions` are files of admitted observations in the order in which they arrived. Groups are split into parts
    of at most `memory_bytes` of cells; the split depends on the group alone.
    """
    parts = [part for group in groups for part in _parts(plan, group, memory_bytes // _PARTS_IN_MEMORY)]
    place = _Places(plan, parts)
    cells = _Cells(max((int(plan.steps[part].sum()) for part in parts), default=0) * len(plan.variables))
    with WaitingRows(len(parts), memory_bytes // 4, scratch) as waiting:
        for batch in prefetched(_batches(partitions), ahead=2):
            for part, rows in place.rows_of(batch):
                waiting.add(part, rows)
        for index, stays in enumerate(parts):
            binned = _binned(plan, stays, waiting.take(index), bool(waiting.taken_back[index]), cells)
            if len(binned.stay):
                yield binned


def _parts(plan: BinningPlan, group: np.ndarray, part_bytes: int) -> list[np.ndarray]:
    cells = np.cumsum(plan.steps[group]) * len(plan.variables)
    part = (cells - 1) * _BYTES_PER_CELL // max(part_bytes, 1)
    edges = np.flatnonzero(np.diff(part)) + 1
    return [one for one in np.split(group, edges) if len(one)]


@dataclass(frozen=True)
class _Batch:
    """Rows of one partition, by stay and time; `distinct` are the texts that the codes stand for."""

    stay: np.ndarray
    stays: np.ndarray
    time: np.ndarray
    variable: np.ndarray
    variables: np.ndarray
    value: np.ndarray


def _batches(partitions: list[Path]) -> Iterator[_Batch]:
    for path in partitions:
        with pq.ParquetFile(path, read_dictionary=["stay_id", "variable", "source_file"]) as file:
            names = ["stay_id", "observed_at", "variable", "value"]
            marked = RETRACTED in file.schema_arrow.names and _has_retractions(file)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[*names, RETRACTED] if marked else names)
                if table.num_rows:
                    yield _batch(table, file, group)


def _has_retractions(file: pq.ParquetFile) -> bool:
    column = file.schema_arrow.names.index(RETRACTED)
    groups = (file.metadata.row_group(group).column(column) for group in range(file.num_row_groups))
    return any(group.statistics is None or group.statistics.null_count < group.num_values for group in groups)


def _batch(table: pa.Table, file: pq.ParquetFile, group: int) -> _Batch:
    stay, stays = _coded(table.column("stay_id"))
    variable, variables = _coded(table.column("variable"))
    time = table.column("observed_at").cast(pa.int64()).fill_null(_NEVER).to_numpy()
    value = table.column("value").to_numpy().astype(np.float32)
    # A value that is missing says nothing; NaN stands for a row that is taken back.
    kept = ~np.isnan(value) & (time != _NEVER)
    if RETRACTED in table.column_names:
        back = table.column(RETRACTED).fill_null(False).to_numpy()
        value = np.where(back, np.float32(np.nan), value)
        kept |= back & (time != _NEVER)
    batch = _Batch(stay, stays, time, variable, variables, value)
    order = None if _is_sorted(batch) else _sorted_rows(batch, file, group)
    if order is None and kept.all():
        return batch
    rows = np.flatnonzero(kept) if order is None else order[kept[order]]
    return _Batch(stay[rows], stays, time[rows], variable[rows], variables, value[rows])


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    one = column.unify_dictionaries().combine_chunks()
    array = one if isinstance(one, pa.DictionaryArray) else one.chunk(0)
    return array.indices.fill_null(-1).to_numpy(), np.asarray(array.dictionary.to_pylist(), dtype=object)


def _is_sorted(batch: _Batch) -> bool:
    """Whether the times of each stay ascend, as the contracts write them."""
    same = batch.stay[1:] == batch.stay[:-1]
    seen_once = int((~same).sum()) + 1 == int((np.bincount(batch.stay + 1) > 0).sum())
    return seen_once and not (same & (batch.time[1:] < batch.time[:-1])).any()


def _sorted_rows(batch: _Batch, file: pq.ParquetFile, group: int) -> np.ndarray:
    source = file.read_row_group(group, columns=["source_file", "source_row"])
    codes, names = _coded(source.column("source_file"))
    places = {name: place for place, name in enumerate(sorted(names, key=file_order))}
    rank = np.array([*(places[name] for name in names), -1])
    return np.lexsort((source.column("source_row").to_numpy(), rank[codes], batch.time, batch.stay))


class _Places:
    """Where the row of a stay, time and variable belongs."""

    def __init__(self, plan: BinningPlan, parts: list[np.ndarray]) -> None:
        self.bin_us = plan.bin_hours * _US_PER_HOUR
        self.position = pd.Index(plan.stay_ids)
        self.variable = {name: index for index, name in enumerate(plan.variables)}
        # The last place is that of stays that are not wanted, whose time begins and ends at once.
        n = len(plan.stay_ids)
        self.part = np.full(n + 1, -1, dtype=np.int32)
        self.first_cell = np.zeros(n + 1, dtype=np.int64)
        self.cells = np.zeros(len(parts), dtype=np.int64)
        for index, part in enumerate(parts):
            steps = plan.steps[part]
            self.part[part] = index
            self.first_cell[part] = np.cumsum(steps) - steps
            self.cells[index] = steps.sum()
        self.first_us = np.append(plan.start_us + plan.first_bin * self.bin_us, 0)
        self.begin_us = np.maximum(np.append(plan.start_us, 0), self.first_us)
        last_us = self.first_us[:-1] + plan.steps * self.bin_us
        self.end_us = np.append(np.minimum(plan.end_us, last_us), 0)
        self.end_us[self.part < 0] = self.begin_us[self.part < 0]

    def rows_of(self, batch: _Batch) -> Iterator[tuple[int, CellRows]]:
        """(part, rows) for each part that has rows in the batch."""
        known = np.append(self.position.get_indexer(pd.Index(batch.stays)), -1)
        if (self.part[known] < 0).all():
            return
        variable = np.append([self.variable.get(name, -1) for name in batch.variables], -1)
        code = variable[batch.variable]
        wanted = (batch.time >= self.begin_us[known][batch.stay]) & (batch.time < self.end_us[known][batch.stay])
        wanted &= code >= 0
        rows = _Located(known[batch.stay], code, batch.time, batch.value)
        if not wanted.all():
            rows = rows.take(np.flatnonzero(wanted))
        part = self.part[rows.stay]
        step = (rows.time - self.first_us[rows.stay]) // self.bin_us
        cell = rows.code * self.cells[part] + self.first_cell[rows.stay] + step
        yield from _by_part(part, CellRows(cell, rows.time, rows.value))


class _Located(NamedTuple):
    """Rows with the numbers of their stay and variable in the plan."""

    stay: np.ndarray
    code: np.ndarray
    time: np.ndarray
    value: np.ndarray

    def take(self, rows: np.ndarray) -> "_Located":
        return _Located(*(column[rows] for column in self))


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


def _binned(
    plan: BinningPlan, part: np.ndarray, batches: Iterator[CellRows], taken_back: bool, room: _Cells
) -> BinnedStays:
    steps = plan.steps[part]
    cells = int(steps.sum())
    values, times = room.emptied(cells * len(plan.variables))
    kept: list[CellRows] = []
    for rows in batches:
        # Equal times count as newer: a later extract corrects an earlier one, a later row the one before it.
        newer = rows.time >= times[rows.cell]
        placed = rows if newer.all() else rows.take(np.flatnonzero(newer))
        times[placed.cell] = placed.time
        values[placed.cell] = placed.value
        if taken_back:
            kept.append(rows)
    if taken_back:
        _resolve_taken_back(kept, values)
    table = values.reshape(len(plan.variables), cells)
    seen = np.flatnonzero(~np.isnan(table).all(axis=0)) if len(plan.variables) else np.empty(0, dtype=np.int64)
    first = np.cumsum(steps) - steps
    stay = np.searchsorted(first, seen, side="right") - 1
    return BinnedStays(part[stay], (seen - first[stay]).astype(np.int32), table[:, seen])


def _resolve_taken_back(batches: list[CellRows], values: np.ndarray) -> None:
    """In cells with a row that was taken back: of each time the version that came last counts, then the last time
    whose version is a value."""
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
