"""What a mapping asks of a file: which of its columns, and how they are to become text."""

from dataclasses import dataclass, field

from medlstm.lake.schemas import OBSERVATION_CORE, RETRACTED, STAY_CORE
from medlstm.settings.source import CsvFileMapping, JoinSection, TableMapping
from medlstm.settings.workspace import Config
from medlstm.sources.joins import joined_columns

_HOURS_IN = {"minutes": 60.0, "hours": 1.0, "days": 1 / 24}


@dataclass(frozen=True)
class AskedColumns:
    """Names of received columns. Columns that are in `names` alone are text as received; all others never matter.

    `needed` are those that the settings name and that a delimited or Parquet file has to have.
    `identifiers` keep every digit. `optional` are null where JSON Lines have no such key at all. `comma_numbers` are
    numbers that the mapping reads with a decimal comma. `durations`: what one hour is in the column's own unit.
    """

    names: frozenset[str]
    needed: frozenset[str]
    identifiers: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    comma_numbers: frozenset[str] = frozenset()
    durations: dict[str, float] = field(default_factory=dict)

    def and_those_of(self, other: "AskedColumns") -> "AskedColumns":
        """What both ask of a file."""
        required = (self.names - self.optional) | (other.names - other.optional)
        return AskedColumns(
            self.names | other.names,
            self.needed | other.needed,
            self.identifiers | other.identifiers,
            (self.optional | other.optional) - required,
            self.comma_numbers | other.comma_numbers,
            self.durations | other.durations,
        )


def asked_by_mapping(mapping: CsvFileMapping, config: Config) -> AskedColumns:
    """Of a file of the mapping's own, the keys of its joins included."""
    received = _received(mapping, config)
    keys = {name for join in mapping.joins for name in join.on}
    times = {join.between.time for join in mapping.joins if join.between}
    conditions = {*mapping.keep, *mapping.drop, *mapping.retracted_when}
    plain = {*mapping.variables, mapping.unit_column, mapping.los_column, *_standing_in(mapping)} - {None}
    return _asked(
        mapping,
        config,
        names={*received.values(), *plain, *conditions, *keys, *times},
        needed=_own({*_needed(mapping, received), *plain, *conditions, *keys, *times}, mapping),
        identifiers={*_identifiers(mapping, received), *keys},
        optional=_optional(mapping, config, received) | keys | times,
    )


def asked_by_join(join: JoinSection, mapping: TableMapping, config: Config) -> AskedColumns:
    """Of a file that a mapping joins to its own."""
    names = joined_columns(mapping, join)
    prefix = f"{join.name}."
    identifiers = _identifiers(mapping, mapping.columns)
    asked = _asked(
        mapping,
        config,
        names={f"{prefix}{name}" for name in names},
        needed=set(),
        identifiers={*identifiers, *(f"{prefix}{name}" for name in join.on.values())},
        optional={f"{prefix}{name}" for name in names - {*join.on.values(), *join.keep}},
    )
    return AskedColumns(
        frozenset(names),
        frozenset(names),
        _without_prefix(asked.identifiers, prefix),
        _without_prefix(asked.optional, prefix),
        _without_prefix(asked.comma_numbers, prefix),
        {name.removeprefix(prefix): unit for name, unit in asked.durations.items() if name.startswith(prefix)},
    )


def _asked(
    mapping: TableMapping,
    config: Config,
    names: set[str | None],
    needed: set[str | None],
    identifiers: set[str | None],
    optional: set[str | None],
) -> AskedColumns:
    received = _received(mapping, config)
    numbers = {received.get(name) for name in ("value", *config.features.numeric)}
    numbers |= {mapping.los_column, *mapping.variables}
    durations = {mapping.los_column: _HOURS_IN[mapping.los_unit]} if mapping.los_column else {}
    if mapping.time_unit != "timestamp":
        numbers.add(received.get("observed_at"))
        durations[received.get("observed_at", "observed_at")] = _HOURS_IN[mapping.time_unit]
    return AskedColumns(
        _known(names), _known(needed), _known(identifiers), _known(optional),
        _known(numbers) if mapping.decimal_comma else frozenset(), durations,
    )  # fmt: skip


def _received(mapping: TableMapping, config: Config) -> dict[str, str]:
    """The received column of each canonical one that the mapping may take from the file."""
    if mapping.table == "stays":
        canonical = {*STAY_CORE, *config.features.numeric, *config.features.categorical}
        canonical |= {"birth_date", "died_at"} & set(mapping.columns)
        canonical -= {"stay_id"} if mapping.generate_stay_ids else set()
    else:
        canonical = {*OBSERVATION_CORE} - ({"variable", "value"} if mapping.layout == "wide" else set())
    canonical |= set() if mapping.retracted_when else {RETRACTED}
    return {name: mapping.columns.get(name, name) for name in canonical - set(mapping.constants)}


def _needed(mapping: CsvFileMapping, received: dict[str, str]) -> set[str]:
    spared = {"patient_id", "discharged_at", "died", RETRACTED}
    spared |= {"admitted_at"} if mapping.los_column else set()
    spared |= {"age"} if "birth_date" in mapping.columns or mapping.known_age else set()
    return {column for name, column in received.items() if name in mapping.columns or name not in spared}


def _optional(mapping: CsvFileMapping, config: Config, received: dict[str, str]) -> set[str | None]:
    """What may be missing in every row: what is not needed to tell a stay or a measurement from others."""
    canonical = {"discharged_at", "died", "birth_date", "died_at", RETRACTED, *mapping.fallbacks} & set(mapping.columns)
    canonical |= {*config.features.numeric, *config.features.categorical}
    canonical -= {"age"} if "birth_date" in mapping.columns or mapping.known_age else set()
    names = {received.get(name) for name in canonical} | {*mapping.variables, mapping.unit_column, mapping.los_column}
    names |= {*mapping.drop, *mapping.retracted_when, *_standing_in(mapping)}
    return _own(names, mapping)


def _standing_in(mapping: TableMapping) -> set[str]:
    """Columns of the settings that stand in for a canonical one."""
    known = mapping.known_age
    return {*mapping.fallbacks.values(), *((known.age, known.year) if known else ())}


def _identifiers(mapping: TableMapping, received: dict[str, str]) -> set[str | None]:
    names = ("stay_id", "patient_id")
    return {*(received.get(name) for name in names), *(mapping.fallbacks.get(name) for name in names)}


def _own(names: set[str | None], mapping: CsvFileMapping) -> set[str | None]:
    """Those that no join gives."""
    joined = tuple(f"{join.name}." for join in mapping.joins)
    return {name for name in names if name and not name.startswith(joined)}


def _known(names: set[str | None]) -> frozenset[str]:
    return frozenset(name for name in names if name)


def _without_prefix(names: frozenset[str], prefix: str) -> frozenset[str]:
    return frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))
