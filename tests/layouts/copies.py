"""The same rows many times, of other patients and stays on other days: exports that are large enough to train on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

Name = TypeVar("Name", int, str)
# Copies are spread over so many days, whole ones, so that a date and a time of the same row stay together.
DAYS = 28
_MINUTES = 24 * 60


def named(identifier: Name, copy: int) -> Name:
    """The identifier of a copy: a number stays a number, and the first copy keeps what it was."""
    if isinstance(identifier, int):
        return identifier + 1000 * copy
    if identifier.isdigit():
        return str(int(identifier) + 1000 * copy)
    return f"{identifier}-{copy}" if identifier and copy else identifier


def earlier(text: str, copy: int, kept: str | None = None) -> str:
    """A date, or a time that begins with one, as of a copy; of the date `kept` it stays the same."""
    if text[:10] == kept:
        return text
    return (date.fromisoformat(text[:10]) - timedelta(days=copy % DAYS)).isoformat() + text[10:]


@dataclass(frozen=True)
class Copies:
    """How many times the rows are written, and which of their columns differ: `identifiers`, `times`, but for
    those of the date `kept`, and, of a layout that has no dates, `minutes` of how long a stay lasted."""

    number: int = 1
    identifiers: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    minutes: tuple[str, ...] = ()
    kept: str | None = None

    def of(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """All copies, the rows as they are first."""
        told = list(rows)
        return (self._copy(row, copy) for copy in range(self.number) for row in told)

    def _copy(self, row: dict[str, Any], copy: int) -> dict[str, Any]:
        own = {name: named(row[name], copy) for name in self.identifiers if row.get(name) is not None}
        moved = {name: earlier(row[name], copy, self.kept) for name in self.times if row.get(name)}
        longer = {name: row[name] + _MINUTES * (copy % DAYS) for name in self.minutes if name in row}
        return row | own | moved | longer


ONCE = Copies()
