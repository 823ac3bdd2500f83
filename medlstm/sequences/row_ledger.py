"""What becomes of every admitted observation on its way to the sequences: one kind each, and not one row lost.

Kinds are counted where the rows pass, so that the ledger costs no second reading; that they add up to the rows of the
files is asserted on every run.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace, read_json, write_json

LEDGER_NAME = "ledger.json"
IN_A_BIN, OVERWRITTEN = "in_a_bin", "overwritten"
UNKNOWN_STAY = "unknown_stay"
# In the order in which a row is asked; the words are for people.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        IN_A_BIN: "in a bin: what a model can see",
        OVERWRITTEN: "overwritten by a later value",
        "taken_back": "taken back by the source",
        "takes_back": "marks of the source that take a row back",
        "without_value": "without a value or a time",
        UNKNOWN_STAY: "of a stay that is not known",
        "stay_taken_back": "of a stay that the source took back",
        "stay_not_begun": "of a stay that begins after the cutoff",
        "stay_ended": "of a stay that has ended, on a night that builds only those in a bed",
        "unused_variable": "of a variable that no model uses",
        "before_admission": "before the admission, and earlier than sequences.pre_admission_hours",
        "after_discharge": "at or after the discharge",
        "after_cutoff": "at or after the cutoff",
        "beyond_max_hours": "older than sequences.max_hours",
        "arrived_too_late": "arrived when no bin of its stay was left to write",
        "after_last_bin": "after the last whole bin of its stay",
        "not_read": "arrived before anybody in a bed was admitted",
    }
)


@dataclass
class RowCounts:
    """What one pass over the observations met.

    `groups`: rows of the stays that the pass bins, by kind, of each group of them; passes over other stays have others.
    `others`: all other rows by kind, and `dates`: extract date to (rows, rows without a stay), equal for all passes of
    a night.
    """

    groups: dict[int, Counter[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    dates: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of_group(self, group: int) -> Counter[str]:
        """The counts of one group, to add to."""
        return self.groups.setdefault(group, Counter())

    def note_date(self, extract_date: str, rows: int, without_stay: int) -> None:
        before = self.dates.get(extract_date, (0, 0))
        self.dates[extract_date] = (before[0] + rows, before[1] + without_stay)


@dataclass(frozen=True)
class Ledger:
    """Of a night's `rows` admitted observations, how many went which way; `dates` as in `RowCounts`.

    `appeared_late` and `moved` count stays as in `KnownWhen`: of whose first rows it is not told when they were known,
    and whose time begins anew.
    """

    rows: int
    kinds: Mapping[str, int]
    dates: Mapping[str, tuple[int, int]]
    appeared_late: int = 0
    moved: int = 0

    def shown(self) -> tuple[tuple[str, int], ...]:
        """(words, rows) of each kind that has rows, in the order of `KINDS`."""
        return tuple((words, self.kinds[kind]) for kind, words in KINDS.items() if self.kinds.get(kind))


def balanced(rows: int, passes: Sequence[RowCounts], as_of: date) -> Ledger:
    """The ledger of all passes over `rows` observations, each of which binned some of the stays.

    Raises MedlstmError where a row is missing, or is counted twice.
    """
    if any((one.others, one.dates) != (passes[0].others, passes[0].dates) for one in passes):
        raise MedlstmError(
            f"{as_of}: the observations changed while the sequences were built; build them again when no other run "
            "writes the lake"
        )
    kinds = passes[0].others.copy()
    for one in passes:
        for members in one.groups.values():
            kinds.update(members)
    if sum(kinds.values()) != rows or min(kinds.values(), default=0) < 0:
        counted = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        raise MedlstmError(
            f"{as_of}: {rows} admitted observations, but {sum(kinds.values())} are accounted for ({counted}); no "
            "sequences were written. Run `medlstm lake verify`; if it finds nothing, this is a fault of medlstm"
        )
    return Ledger(rows, {kind: kinds[kind] for kind in KINDS}, dict(sorted(passes[0].dates.items())))


def write_ledger(ledger: Ledger, workspace: Workspace, as_of: date) -> None:
    """Put the ledger beside the sequences of a night."""
    content = {"rows": ledger.rows, "kinds": dict(ledger.kinds), "dates": ledger.dates,
               "appeared_late": ledger.appeared_late, "moved": ledger.moved}  # fmt: skip
    write_json(content, workspace.sequences(as_of) / LEDGER_NAME)


def read_ledger(workspace: Workspace, as_of: date) -> Ledger | None:
    """The ledger of a night, None where its sequences were never built."""
    path = workspace.sequences(as_of) / LEDGER_NAME
    if not path.is_file():
        return None
    content: dict[str, Any] = read_json(path)
    dates = {day: tuple(pair) for day, pair in content["dates"].items()}
    # A ledger of an earlier version does not tell the last two.
    return Ledger(content["rows"], content["kinds"], dates, content.get("appeared_late", 0), content.get("moved", 0))


def ledger_dates(workspace: Workspace) -> list[date]:
    """The nights that have a ledger, oldest first."""
    found = workspace.sequences(date.min).parent.glob(f"as_of=*/{LEDGER_NAME}")
    return sorted(date.fromisoformat(path.parent.name.removeprefix("as_of=")) for path in found)
