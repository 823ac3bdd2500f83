"""What each kind of file is: stays, measurements (long or wide), or rows that others may join; by names and data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from medlstm.onboarding.column_kinds import Column, filled
from medlstm.onboarding.column_roles import COMPACT_FORMATS, candidates, plain, rank
from medlstm.onboarding.file_kinds import FileKind
from medlstm.onboarding.keys_between_files import is_unique, likeliest_pair
from medlstm.onboarding.sample_file import FileSample
from medlstm.onboarding.variable_names import meant_variable

What = Literal["stays", "long", "wide", "other"]
_MEANT_SHARE = 0.5


@dataclass(frozen=True)
class Sheet:
    """A kind of file, what it is, and its columns by role; `judged`: the roles that the data gave, not the names.

    `beside`: for a role the columns that would have done as well.
    """

    kind: FileKind
    what: What
    roles: Mapping[str, Column]
    judged: tuple[str, ...] = ()
    beside: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    @property
    def sample(self) -> FileSample:
        return self.kind.sample

    def name_of(self, role: str) -> str:
        return self.roles[role].name

    def free(self) -> list[Column]:
        """The columns without a role."""
        taken = {one.name for one in self.roles.values()}
        return [one for one in self.sample.columns if one.name not in taken]


def sheet_of(kind: FileKind) -> Sheet:
    """What a kind of file is, on its own; `choose_tables` then holds the kinds against each other."""
    sample = kind.sample
    finder = _Finder(sample)
    for role in ("admitted_at", "discharged_at", "birth_date"):
        finder.by_name(role)
    finder.key()
    for role in ("patient_id", "value", "unit", "gender", "ward", "age", "los", "died"):
        finder.by_name(role)
    finder.variable()
    ends = {"admitted_at", "discharged_at"} <= set(finder.roles)
    unique = "stay_id" in finder.roles and is_unique(sample, finder.roles["stay_id"].name)
    if not (ends and unique):
        finder.measured()
        if {"variable", "value", "observed_at"} <= set(finder.roles):
            return finder.sheet(kind, "long")
    if "admitted_at" not in finder.roles and "observed_at" not in finder.named:
        finder.pair()
    if "admitted_at" in finder.roles or "los" in finder.roles:
        return finder.sheet(kind, "stays")
    if "observed_at" in finder.roles and variable_columns(sample, finder.roles) and not finder.is_of_people():
        return finder.sheet(kind, "wide")
    return finder.sheet(kind, "other")


def variable_columns(sample: FileSample, roles: Mapping[str, Column]) -> list[Column]:
    """The columns of a wide file that are measurements: numbers that number nothing."""
    taken = {one.name for role, one in roles.items() if role not in ("age", "value")}
    return [one for one in sample.columns if one.name not in taken and _is_measured(one)]


def _is_measured(column: Column) -> bool:
    meant = meant_variable(column.name) is not None
    return (column.kind == "number" or (meant and column.number_share >= 0.5)) and (meant or not numbers_rows(column))


def alternatives(sheet: Sheet, role: str) -> list[Column]:
    """The columns that would have done as well; days where the role has times are none."""
    beside = sheet.beside.get(role, ())
    return [one for one in beside if sheet.roles[role].is_day or not one.is_day]


def numbers_rows(column: Column) -> bool:
    """Whether a column is an identifier or counts rows, by its name or because hardly any two are equal."""
    word = plain(column.name)
    named = word.endswith(("id", "nr", "number", "nummer", "key", "code", "seq", "row", "index", "uid"))
    return named or word in ("line", "order", "no")


class _Finder:
    """Gives columns to roles, each column to one."""

    def __init__(self, sample: FileSample) -> None:
        self.sample = sample
        self.roles: dict[str, Column] = {}
        self.named: set[str] = set()
        self.beside: dict[str, tuple[Column, ...]] = {}

    def sheet(self, kind: FileKind, what: What) -> Sheet:
        roles = {role: one for role, one in self.roles.items() if role in _ROLES_OF[what]}
        judged = tuple(role for role in roles if role not in self.named)
        return Sheet(kind, what, roles, judged, {role: self.beside.get(role, ()) for role in roles})

    def _free(self) -> list[Column]:
        taken = {one.name for one in self.roles.values()}
        return [one for one in self.sample.columns if one.name not in taken]

    def by_name(self, role: str) -> None:
        found = candidates(role, self._free())
        if found:
            self.roles[role], self.beside[role] = found[0], tuple(found[1:])
            self.named.add(role)

    def key(self) -> None:
        """The stay's identifier: of those that are named so one that tells rows apart, else any that does."""
        found = candidates("stay_id", self._free())
        unique = [one for one in found if is_unique(self.sample, one.name)]
        if found:
            self.roles["stay_id"] = (unique or found)[0]
            self.beside["stay_id"] = tuple(one for one in found if one is not self.roles["stay_id"])
            self.named.add("stay_id")
            return
        times = {"admitted_at", "discharged_at"} & set(self.roles)
        keys = [one for one in self._free() if one.kind in ("text", "number") and is_unique(self.sample, one.name)
                and (numbers_rows(one) or times) and rank("patient_id", one.name) is None]  # fmt: skip
        keys.sort(key=lambda one: (not numbers_rows(one), one.number_style != "plain" or one.kind != "text"))
        if keys and (times or plain(keys[0].name) == "id"):
            self.roles["stay_id"] = keys[0]

    def variable(self) -> None:
        """Of the columns named so the one whose texts are known best; else a column of known names."""
        named = candidates("variable", self._free())
        among = named or [one for one in self._free() if one.kind == "text" and one.distinct <= 2000]
        known = {one.name: self._known_share(one) for one in among}
        best = max(among, key=lambda one: known[one.name], default=None)
        if best and (named or known[best.name] >= _MEANT_SHARE):
            self.roles["variable"] = best
            self.beside["variable"] = tuple(one for one in named if one is not best)
            if named:
                self.named.add("variable")

    def _known_share(self, column: Column) -> float:
        if column.name not in self.sample.rows:
            return 0.0
        texts = filled(self.sample.rows[column.name]).drop_duplicates().head(500)
        return sum(meant_variable(one) is not None for one in texts) / max(len(texts), 1)

    def measured(self) -> None:
        """When, and of a long file which number; the only column that can be one needs no name."""
        self.by_name("observed_at")
        begins = self.roles.get("admitted_at")
        if "observed_at" not in self.roles:
            times = [one for one in self._free() if one.kind in ("time", "duration")]
            if len(times) == 1:
                self.roles["observed_at"] = times[0]
            elif begins and rank("observed_at", begins.name) is not None and "variable" in self.roles:
                self.roles["observed_at"] = self.roles.pop("admitted_at")
        if "variable" in self.roles and "value" not in self.roles:
            numbers = [one for one in self._free() if one.number_share >= 0.5 and not numbers_rows(one)
                       and one.time_formats[:1] not in COMPACT_FORMATS]  # fmt: skip
            if len(numbers) == 1:
                self.roles["value"] = numbers[0]

    def pair(self) -> None:
        """A begin and an end by the data: two times that rise in nearly every row of a file whose rows have a key."""
        found = likeliest_pair(self.sample)
        if not found:
            return
        times = {"admitted_at": self.sample.column(found.start), "discharged_at": self.sample.column(found.stop)}
        before = {role: one for role, one in self.roles.items() if role != "observed_at"}
        self.roles = before | times
        if "stay_id" not in self.roles:
            self.key()
        if "stay_id" not in self.roles or not is_unique(self.sample, self.roles["stay_id"].name):
            self.roles = before

    def is_of_people(self) -> bool:
        """Whether the file has one row for each patient, whose times and numbers are no measurements."""
        patient = self.roles.get("patient_id")
        return bool({"birth_date", "gender"} & set(self.roles)) and bool(patient) and is_unique(
            self.sample, patient.name if patient else ""
        )  # fmt: skip


_STATICS = ("birth_date", "gender", "ward", "age", "died")
_ROLES_OF: dict[What, tuple[str, ...]] = {
    "stays": ("stay_id", "patient_id", "admitted_at", "discharged_at", "los", *_STATICS),
    "long": ("stay_id", "patient_id", "observed_at", "variable", "value", "unit"),
    "wide": ("stay_id", "patient_id", "observed_at"),
    "other": ("stay_id", "patient_id", *_STATICS),
}
