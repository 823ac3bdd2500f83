"""What each night of a small hospital saw, told night after night in plain Python: the truth for sequences.

Nothing here is shared with medlstm.sequences. A night knows the rows that have arrived; it writes the steps that have
begun since the night before, and never touches one that was written.
"""

import math
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

NAN = float("nan")


@dataclass
class Written:
    """A stay as the nights wrote it: of each step, by variable, the value (NaN: nothing is known any more) and by how
    many steps it is late, and the ward that was known. `entered` are the rows of each step, `in_bed` the steps that
    were written while the stay was taken for open, `told` counts the values that stand where a row of theirs does."""

    steps: list[dict[str, tuple[float, float]]] = field(default_factory=list)
    wards: list[str | None] = field(default_factory=list)
    entered: list[list[dict[str, Any]]] = field(default_factory=list)
    in_bed: int = 0
    told: int = 0
    known: dict[str, dict[datetime, float]] = field(default_factory=dict)
    last: dict[str, tuple[datetime, float] | None] = field(default_factory=dict)
    waiting: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    arrived: int = 0
    ward: str | None = None


@dataclass(frozen=True)
class House:
    """How nights are run: cutoffs by date, the length of a step, and how long before an admission rows count."""

    cutoffs: dict[date, datetime]
    step: timedelta
    early: timedelta

    def begun(self, admitted: datetime, moment: datetime) -> int:
        return max(math.ceil((moment - admitted) / self.step), 0)

    def lasts(self, admitted: datetime, end: datetime) -> int:
        before = [cutoff for cutoff in self.cutoffs.values() if cutoff <= end]
        begun = self.begun(admitted, max(before)) if before else 0
        return max(math.floor((end - admitted) / self.step), begun, 1)

    def own_step(self, admitted: datetime, at: datetime) -> int:
        """The step of a moment: its bin, or the next one where a cutoff between the bin's begin and it came first."""
        number = max(math.floor((at - admitted) / self.step), 0)
        opens = admitted + number * self.step
        return number + any(opens < cutoff <= at for cutoff in self.cutoffs.values())


def stay_at(stays: list[dict[str, Any]], day: date) -> dict[str, Any] | None:
    """The newest row of a stay that had arrived on a date."""
    known = [row for row in stays if row["extract_date"] <= day]
    return known[-1] if known else None


def as_written(
    house: House, stays: list[dict[str, Any]], rows: list[dict[str, Any]], as_of: date
) -> Written | None:
    """The stay as of a night. `stays` are its own rows and `rows` its observations, both in the order of arrival; the
    admission is that of its newest row."""
    newest = stay_at(stays, as_of)
    if newest is None or newest["admitted_at"] >= house.cutoffs[as_of]:
        return None
    admitted, first = newest["admitted_at"], stays[0]["extract_date"]
    written = Written()
    for day in (day for day in house.cutoffs if first <= day <= as_of):
        _night(house, written, stays, rows, day, admitted, appears=day == first)
    return written


def _night(
    house: House, written: Written, stays: list[dict[str, Any]], rows: list[dict[str, Any]], day: date,
    admitted: datetime, appears: bool,
) -> None:  # fmt: skip
    said = stay_at(stays, day)
    assert said is not None
    cutoff = house.cutoffs[day]
    is_open = said["discharged_at"] is None or said["discharged_at"] >= cutoff
    if is_open or appears:
        written.ward = said["ward"]
    while written.arrived < len(rows) and rows[written.arrived]["extract_date"] <= day:
        row = rows[written.arrived]
        own = house.own_step(admitted, row["observed_at"])
        if row["observed_at"] >= admitted - house.early:
            written.waiting.append((max(own, 0 if appears else len(written.steps)), row))
        written.arrived += 1
    until = house.begun(admitted, cutoff) if is_open else house.lasts(admitted, said["discharged_at"])
    while len(written.steps) < until:
        number = len(written.steps)
        entering = [row for step, row in written.waiting if step == number]
        if not is_open:
            # A night that takes the stay for ended leaves what came after; it counts if the end is taken back.
            later = [row for row in entering if row["observed_at"] >= said["discharged_at"]]
            entering = [row for row in entering if row not in later]
        written.waiting = [(step, row) for step, row in written.waiting if step != number]
        written.steps.append(_entered(house, written, admitted, number, entering))
        written.wards.append(written.ward)
        written.entered.append(entering)
    if is_open:
        written.in_bed = len(written.steps)


def _entered(
    house: House, written: Written, admitted: datetime, number: int, entering: list[dict[str, Any]]
) -> dict[str, tuple[float, float]]:
    told = {}
    for variable in sorted({row["variable"] for row in entering}):
        known = written.known.setdefault(variable, {})
        for row in entering:
            if row["variable"] == variable:
                known[row["observed_at"]] = NAN if row["retracted"] else row["value"]
        standing = [(at, value) for at, value in known.items() if not math.isnan(value)]
        now = max(standing, default=None)
        before = written.last.get(variable)
        if now is None and before is not None:
            told[variable] = (NAN, math.inf)
        elif now is not None and now != before:
            told[variable] = (now[1], float(number - house.own_step(admitted, now[0])))
            written.told += any(row["observed_at"] == now[0] for row in entering if row["variable"] == variable)
        written.last[variable] = now
    return told
