"""Values that stand in a later step than that of their time, since a night had written that one when they arrived.

A late value is news of a variable only if nothing later was known of it; its age counts from when it was observed. A
value that is taken back after a night had used it stays in the past, and from then on the value before it counts again,
or none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from medlstm.sequences.row_places import BinningPlan
from medlstm.sequences.waiting_rows import CellRows

_FORGOTTEN = np.inf


@dataclass(frozen=True)
class LateCells:
    """Cells [k] by `place` (variable, then cell of the part) with `steps_late` [k] float32: by how many steps the value
    is older than its step, or infinity where from this step on nothing is known of the variable."""

    place: np.ndarray
    steps_late: np.ndarray

    def among(self, seen: np.ndarray, cells: int) -> "LateCells":
        """The same by places among the cells `seen` [rows] alone, of `cells` for each variable."""
        rows = np.searchsorted(seen, self.place % cells)
        return LateCells(self.place // max(cells, 1) * len(seen) + rows, self.steps_late)


NO_LATE_CELLS = LateCells(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


class StayCells:
    """Which stay and step each cell of a part belongs to."""

    def __init__(self, plan: BinningPlan, part: np.ndarray) -> None:
        self.arrivals = plan.arrivals
        steps = plan.steps[part]
        self.count = int(steps.sum())
        self.stay = np.repeat(part, steps)
        within = np.arange(self.count) - np.repeat(np.cumsum(steps) - steps, steps)
        self.step = within + plan.first_bin[self.stay]
        self.opens_us = plan.start_us[self.stay] + self.step * plan.arrivals.axis.bin_us

    def steps_late(self, place: np.ndarray, time: np.ndarray) -> np.ndarray:
        """By how many steps values observed at `time` [k] are older than their cells [k]."""
        cell = place % self.count
        return self.step[cell] - self.arrivals.own_step(self.stay[cell], time)

    def series(self, place: np.ndarray) -> np.ndarray:
        """One number for each variable of each stay [k]."""
        return place // self.count * (int(self.stay.max()) + 1) + self.stay[place % self.count]


def resolve_late(stays: StayCells, marked: CellRows, times: np.ndarray, values: np.ndarray) -> tuple[LateCells, int]:
    """Let late values of a part be what a night knew: `times` and `values` [variables x cells] are those of the newest
    row of each cell, and are changed in place.

    `marked` are all rows of the part in the order of their arrival, where some of them take others back. Gives the
    cells that are late, and how many values stand in a second cell, since what came after them was taken back.
    """
    filled = np.flatnonzero(~np.isnan(values))
    late = filled[times[filled] < stays.opens_us[filled % stays.count]]
    steps_late = stays.steps_late(late, times[late])
    late, steps_late = late[steps_late > 0], steps_late[steps_late > 0]
    news = _is_news(stays, filled, late, times, values)
    values[late[~news]] = np.nan
    place, steps_late = late[news], steps_late[news].astype(np.float32)
    replayed = _replayed(stays, marked)
    if replayed is None:
        return LateCells(place, steps_late), 0
    values[replayed.touched] = np.nan
    values[replayed.place] = replayed.value
    others = ~np.isin(stays.series(place), stays.series(replayed.touched))
    is_late = replayed.steps_late > 0
    place = np.concatenate([place[others], replayed.place[is_late]])
    steps_late = np.concatenate([steps_late[others], replayed.steps_late[is_late]])
    order = np.argsort(place, kind="stable")
    return LateCells(place[order], steps_late[order]), replayed.restored


def _is_news(
    stays: StayCells, filled: np.ndarray, late: np.ndarray, times: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Whether each late value was news when it arrived: later than what was known of its variable, or another value of
    the same time."""
    if not len(late):
        return np.zeros(0, dtype=bool)
    series = stays.series(filled)
    concerned = np.isin(series, stays.series(late))
    place, series = filled[concerned], series[concerned]
    time, value = times[place], values[place]
    newest = time >= pd.Series(time).groupby(series).cummax().to_numpy()
    # The place of the newest value up to each place; the first of a series is always the newest.
    known_at = np.maximum.accumulate(np.where(newest, np.arange(len(place)), 0))
    before = np.append(0, known_at[:-1])
    first = np.append(True, series[1:] != series[:-1])
    news = first | (time > time[before]) | ((time == time[before]) & (value != value[before]))
    return news[np.searchsorted(place, late)]


class _Replayed(NamedTuple):
    """Of variables of stays with values that were taken back: all cells with rows (`touched`); those in which what is
    known changes, [k] each: `place`, `value` (NaN: nothing any more) and `steps_late`; and how many of these stand in
    a second cell."""

    touched: np.ndarray
    place: np.ndarray
    value: np.ndarray
    steps_late: np.ndarray
    restored: int


def _replayed(stays: StayCells, marked: CellRows) -> _Replayed | None:
    """Step by step anew, what was known of variables of which a value was taken back; None where none was."""
    series = stays.series(marked.cell)
    rows = marked.take(np.flatnonzero(np.isin(series, np.unique(series[np.isnan(marked.value)]))))
    if not len(rows.cell):
        return None
    rows = rows.take(np.argsort(rows.cell, kind="stable"))
    of = stays.series(rows.cell)
    starts = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    told = [one for first, end in zip(starts, [*starts[1:], len(of)], strict=True)
            for one in _told(rows.take(np.arange(first, end)))]  # fmt: skip
    place = np.array([one.cell for one in told], dtype=np.int64)
    time = np.array([one.time for one in told], dtype=np.int64)
    value = np.array([one.value for one in told], dtype=np.float32)
    steps_late = np.where(np.isnan(value), _FORGOTTEN, stays.steps_late(place, time)).astype(np.float32)
    return _Replayed(np.unique(rows.cell), place, value, steps_late, sum(one.again for one in told))


class _Told(NamedTuple):
    """What is known of a variable from a cell on, and whether it stood in an earlier one already."""

    cell: int
    time: int
    value: float
    again: bool


def _told(rows: CellRows) -> Iterator[_Told]:
    """Of one variable of one stay, its rows by step: each cell in which what is known of it changes; the value is NaN
    where nothing is known any more."""
    known: dict[int, float] = {}
    before: tuple[int, float] | None = None
    bounds = np.flatnonzero(np.append(True, rows.cell[1:] != rows.cell[:-1]))
    for first, end in zip(bounds, [*bounds[1:], len(rows.cell)], strict=True):
        new = dict(zip(rows.time[first:end].tolist(), rows.value[first:end].tolist(), strict=True))
        known |= new
        time = max((one for one, value in known.items() if not np.isnan(value)), default=None)
        now = None if time is None else (time, known[time])
        if now is None and before is not None:
            yield _Told(int(rows.cell[first]), before[0], np.nan, False)
        elif now is not None and now != before:
            yield _Told(int(rows.cell[first]), *now, again=now[0] not in new)
        before = now
