"""Rows with named columns to canonical rows, by what the mapping says; the same for files and for queries."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.lake.schemas import LOS_DAYS, MINUTES_AFTER_ADMISSION, OBSERVATION_CORE, RETRACTED, STAY_CORE
from medlstm.settings.source import TableMapping
from medlstm.settings.workspace import Config
from medlstm.sources.age_masks import unmasked
from medlstm.sources.decimal_numbers import scaled, with_decimal_point
from medlstm.sources.infer_dates import placed_by_extract_date
from medlstm.sources.source_batch import raw_rows, unparsed_rows
from medlstm.sources.times import ages, ages_from_year, deaths_in_stay, iso_times
from medlstm.values.missing_texts import ALSO_NAMES, without_null_texts
from medlstm.values.text_columns import Text, UnfitFileError, missing_column, on_distinct, repeated
from medlstm.values.units import in_own_units, unit_table

_MINUTES = {"minutes": 1.0, "hours": 60.0, "days": 1440.0}
_OPTIONAL = ("patient_id", "discharged_at", "died")
_TIMES = ("admitted_at", "discharged_at", "observed_at", "birth_date", "died_at")


@dataclass(frozen=True)
class Received:
    """Some rows as received: the mapped columns as text, the rows' numbers, and lines (number, text) that are no rows.

    `header` names all columns that were received; `counted`: what a person should know, with the rows it concerns.
    """

    header: list[str]
    columns: pa.Table
    numbers: np.ndarray
    unparsed: list[tuple[int, str]]
    counted: Mapping[str, int] = field(default_factory=dict)

    def take(self, rows: pa.Array) -> "Received":
        """The rows [n] bool that are true."""
        return replace(self, columns=self.columns.filter(rows), numbers=self.numbers[np.asarray(rows)])


def no_rows(
    header: list[str],
    names: Collection[str],
    unparsed: Sequence[tuple[int, str]] = (),
    counted: Mapping[str, int] = MappingProxyType({}),
) -> Received:
    """The columns without a row, for a header alone, and for what is told at a file's end."""
    columns = {name: pa.array([], pa.string()) for name in header if name in names}
    return Received(header, pa.table(columns), np.arange(0), list(unparsed), counted)


def refuse_repeated(header: list[str], names: Collection[str]) -> None:
    """Raises UnfitFileError where one of the columns that are asked for appears twice."""
    repeated_names = sorted({name for name in names if header.count(name) > 1})
    if repeated_names:
        raise UnfitFileError(
            f"the column {repeated_names[0]} appears twice; export the file with distinct column names"
        )


def named_columns(mapping: TableMapping) -> set[str]:
    """The received columns, those of joins included, that the mapping names."""
    age = [mapping.known_age.age, mapping.known_age.year] if mapping.known_age else []
    single = [mapping.los_column or "", mapping.unit_column or "", *age]
    return {*mapping.columns.values(), *mapping.fallbacks.values(), *mapping.variables, *single, *mapping.keep,
            *mapping.drop, *mapping.retracted_when} - {""}  # fmt: skip


def canonical_rows(
    received: Received, name: str, mapping: TableMapping, extract_date: date, config: Config
) -> Iterator[pa.Table]:
    """Raw rows of the mapping's table from the source `name`. Raises UnfitFileError for a column that is missing."""
    if mapping.table == "stays":
        yield _stays(received, name, mapping, extract_date, config)
    elif mapping.layout == "wide":
        yield from _wide_observations(received, name, mapping)
    else:
        yield _long_observations(received, name, mapping)
    if received.unparsed:
        yield unparsed_rows(name, received.unparsed)


def is_one_of(column: Text, texts: Collection[str]) -> pa.Array:
    """Whether each text [n], blanks around it apart, is one of `texts`; a missing one counts as ""."""
    stripped = pc.fill_null(pc.utf8_trim_whitespace(column.cast(pa.string())), "")
    hit = pc.is_in(stripped, pa.array(texts, pa.string()))
    return hit.combine_chunks() if isinstance(hit, pa.ChunkedArray) else hit


def received_column(received: Received, name: str, canonical: str) -> pa.ChunkedArray:
    """The column `name`, which stands for `canonical`. Raises UnfitFileError where there is none."""
    if name not in received.header:
        raise missing_column(f"{name} (for {canonical})", received.header, "columns in [[source.files]]")
    return received.columns.column(name)


def _measured(received: Received, name: str, canonical: str, mapping: TableMapping) -> Text:
    """A received column in which the words for nothing, and empty texts, are missing."""
    return without_null_texts(received_column(received, name, canonical), ["", *mapping.null_texts])


def given_column(received: Received, mapping: TableMapping, canonical: str, is_category: bool = False) -> Text:
    """A canonical column [n] as received, null where a word for nothing stands: a constant, or the column that the
    mapping names, with its fallback where it is empty. Raises UnfitFileError for a column that is missing."""
    if canonical in mapping.constants:
        return repeated(mapping.constants[canonical], len(received.numbers))
    words = _null_texts(mapping, canonical, is_category)
    column: Text = received_column(received, mapping.columns.get(canonical, canonical), canonical)
    column = without_null_texts(column, words)
    if canonical not in mapping.fallbacks:
        return column
    fallback = without_null_texts(received_column(received, mapping.fallbacks[canonical], canonical), words)
    return pc.if_else(is_one_of(column, [""]), fallback.cast(pa.string()), column.cast(pa.string()))


def _column(received: Received, mapping: TableMapping, canonical: str, is_category: bool = False) -> Text:
    """As `given_column`, with times in ISO 8601 and texts as they are meant."""
    column = given_column(received, mapping, canonical, is_category)
    if canonical in mapping.constants:
        return column
    if canonical in _TIMES and mapping.time_unit == "timestamp":
        column = iso_times(column, mapping.time_formats, mapping.timezone)
    spellings = variable_names(mapping) if canonical == "variable" else mapping.spellings.get(canonical, {})
    return _respelled(column, spellings) if spellings else column


def variable_names(mapping: TableMapping) -> dict[str, str]:
    """What the mapping names of variables: text as received to the variable."""
    codes = unit_table().variables if mapping.variable_codes else {}
    return codes | mapping.spellings.get("variable", {})


def _null_texts(mapping: TableMapping, canonical: str, is_category: bool) -> list[str]:
    """The words that stand for nothing in a column: none of those that the mapping spells, or that are names there."""
    if canonical == "variable":
        # NA is sodium.
        return []
    names = {*mapping.spellings.get(canonical, {}), *(ALSO_NAMES if is_category else ())}
    return [word for word in mapping.null_texts if word not in names]


def _respelled(column: Text, spellings: dict[str, str]) -> Text:
    def meant(distinct: pa.Array) -> pa.Array:
        return pa.array([spellings.get(text.strip(), text) for text in distinct.to_pylist()], pa.string())

    return on_distinct(column, meant)


def _stays(received: Received, name: str, mapping: TableMapping, extract_date: date, config: Config) -> pa.Table:
    columns: dict[str, Text] = {}
    for target in (*STAY_CORE, *config.features.numeric, *config.features.categorical):
        if target == "stay_id" and mapping.generate_stay_ids:
            ids = [f"{extract_date.isoformat()}/{name}/{row}" for row in received.numbers]
            columns[target] = pa.array(ids, pa.string())
        elif (derived := _derived(target, received, columns, mapping, config)) is not None:
            columns[target] = derived
        elif target in mapping.columns or target in mapping.constants or target in received.header:
            columns[target] = _column(received, mapping, target, target in config.features.categorical)
        elif not (target in _OPTIONAL or (target == "admitted_at" and mapping.los_column)):
            _column(received, mapping, target)
    for target in config.features.numeric:
        columns[target] = with_decimal_point(columns[target], mapping)
        if target.lower() == "age":
            columns[target] = unmasked(columns[target], columns[target], mapping.age_masks)
    # With no identifier of the patient, each stay counts as a patient of its own.
    columns.setdefault("patient_id", columns["stay_id"])
    if mapping.los_column:
        lengths = with_decimal_point(_measured(received, mapping.los_column, LOS_DAYS, mapping), mapping)
        columns[LOS_DAYS] = scaled(lengths, _MINUTES[mapping.los_unit] / 1440)
        if "admitted_at" not in columns:
            columns |= placed_by_extract_date(columns[LOS_DAYS], extract_date, config.workspace.timezone)
    return raw_rows(columns | _retractions(received, mapping), name, received.numbers)


def _derived(
    target: str, received: Received, columns: dict[str, Text], mapping: TableMapping, config: Config
) -> Text | None:
    """A column of stays that the mapping has computed from others, if it says so; `columns`: those made before it."""
    zone = config.workspace.timezone
    if target in mapping.columns or target in mapping.constants:
        return None
    if target == "died" and "died_at" in mapping.columns:
        end, death = (_column(received, mapping, name) for name in ("discharged_at", "died_at"))
        return deaths_in_stay(columns["admitted_at"], end, death, zone)
    if target == "age" and "birth_date" in mapping.columns:
        born = _column(received, mapping, "birth_date")
        return unmasked(ages(born, columns["admitted_at"], zone), born, mapping.age_masks)
    if target == "age" and mapping.known_age:
        known = mapping.known_age
        told, year = (_measured(received, name, "age", mapping) for name in (known.age, known.year))
        return ages_from_year(told, year, columns["admitted_at"], zone)
    return None


def _retractions(received: Received, mapping: TableMapping) -> dict[str, Text]:
    """The mark of rows that the source takes back: by the texts of columns, or as received."""
    marked = [is_one_of(received_column(received, name, name), texts) for name, texts in mapping.retracted_when.items()]
    if not marked:
        named = RETRACTED in mapping.columns or RETRACTED in received.header
        return {RETRACTED: _column(received, mapping, RETRACTED)} if named else {}
    any_mark = marked[0]
    for one in marked[1:]:
        any_mark = pc.or_(any_mark, one)
    return {RETRACTED: pc.if_else(any_mark, "true", pa.scalar(None, pa.string()))}


def _time(received: Received, mapping: TableMapping) -> dict[str, Text]:
    """The time as received; one counted from the admission also in minutes, to be resolved against the stays."""
    times = _column(received, mapping, "observed_at")
    if mapping.time_unit == "timestamp":
        return {"observed_at": times}
    counted = scaled(with_decimal_point(times, mapping), _MINUTES[mapping.time_unit])
    return {"observed_at": times, MINUTES_AFTER_ADMISSION: counted}


def _long_observations(received: Received, name: str, mapping: TableMapping) -> pa.Table:
    columns = {
        target: _column(received, mapping, target) for target in OBSERVATION_CORE if target != "observed_at"
    }
    units = _measured(received, mapping.unit_column, "unit_column", mapping) if mapping.unit_column else None
    columns["value"] = _in_own_units(with_decimal_point(columns["value"], mapping), columns["variable"], units, mapping)
    return raw_rows(columns | _time(received, mapping) | _retractions(received, mapping), name, received.numbers)


def _in_own_units(values: Text, variables: Text, units: Text | None, mapping: TableMapping) -> Text:
    """Each row by its own unit, or by the one that the mapping gives for its variable."""
    if not mapping.units and units is None:
        return values
    declared = None
    if mapping.units:
        declared = on_distinct(variables, lambda distinct: pa.array(
            [mapping.units.get(text.strip()) for text in distinct.to_pylist()], pa.string()))  # fmt: skip
    if units is None:
        return in_own_units(values, variables, declared)
    units = units.cast(pa.string())
    blank_as_null = pc.if_else(pc.equal(pc.utf8_trim_whitespace(units), ""), pa.scalar(None, pa.string()), units)
    return in_own_units(values, variables, blank_as_null if declared is None else pc.coalesce(blank_as_null, declared))


def _wide_observations(received: Received, name: str, mapping: TableMapping) -> Iterator[pa.Table]:
    """One table per variable: the rows in which it has a value."""
    stay, time = _column(received, mapping, "stay_id"), _time(received, mapping)
    shared = {"stay_id": stay, **time, **_retractions(received, mapping)}
    spellings, meant = mapping.spellings.get("variable", {}), mapping.spellings.get("value", {})
    for column in mapping.variables:
        values = _measured(received, column, "a variable", mapping)
        values = _respelled(values, meant) if meant else values
        seen = pc.is_valid(values)
        present = seen.to_numpy(zero_copy_only=False)
        variable = repeated(spellings.get(column, column), int(present.sum()))
        filtered = _in_own_units(with_decimal_point(values.filter(seen), mapping), variable, None, mapping)
        columns = {key: column.filter(seen) for key, column in shared.items()}
        yield raw_rows(columns | {"variable": variable, "value": filtered}, name, received.numbers[present])
