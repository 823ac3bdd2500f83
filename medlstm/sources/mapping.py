"""Rows with named columns to canonical rows, by what the mapping says; the same for files and for queries."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.lake.schemas import LOS_DAYS, MINUTES_AFTER_ADMISSION, OBSERVATION_CORE, RETRACTED, STAY_CORE
from medlstm.settings.source import TableMapping
from medlstm.settings.workspace import Config
from medlstm.sources.infer_dates import placed_by_extract_date
from medlstm.sources.source_batch import raw_rows, unparsed_rows
from medlstm.sources.times import ages, iso_times
from medlstm.values.missing_texts import ALSO_NAMES, without_null_texts
from medlstm.values.parsing import parse_numbers
from medlstm.values.text_columns import Text, UnfitFileError, on_distinct, repeated
from medlstm.values.units import in_own_units

_MINUTES = {"minutes": 1.0, "hours": 60.0, "days": 1440.0}
_OPTIONAL = ("patient_id", "discharged_at", "died")
# 1.234,5 and 1 234 567,8 and 1'234 and 245.000 (of thousands, for a decimal has a comma), and 1234,5 and ,5.
_COMMA_NUMBER = (
    r"^[+-]?(?:[1-9]\d{0,2}(?:(?:\.\d{3})+|(?:[ \x{a0}\x{2009}\x{202f}]\d{3})+|(?:['’]\d{3})+)(?:,\d+)?|\d*,\d+"
    r"(?:[eE][+-]?\d+)?)$"
)
_THOUSANDS_MARK = r"[. '’\x{a0}\x{2009}\x{202f}]"
_POINT_NUMBER = r"^[+-]?\d*\.\d+$"
_TIMES = ("admitted_at", "discharged_at", "observed_at", "birth_date")


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


def selected(received: Received, mapping: TableMapping) -> Received:
    """The rows that `keep` and `drop` leave."""
    taken = None
    for listed, conditions in ((True, mapping.keep), (False, mapping.drop)):
        for name, texts in conditions.items():
            hit = is_one_of(_named(received, name, name), texts)
            wanted = hit if listed else pc.invert(hit)
            taken = wanted if taken is None else pc.and_(taken, wanted)
    return received if taken is None else received.take(taken)


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


def is_one_of(column: pa.ChunkedArray, texts: list[str]) -> pa.Array:
    """Whether each text [n], blanks around it apart, is one of `texts`; a missing one is not."""
    stripped = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.fill_null(pc.is_in(stripped, pa.array(texts, pa.string())), False).combine_chunks()


def _named(received: Received, name: str, canonical: str) -> pa.ChunkedArray:
    if name not in received.header:
        raise UnfitFileError(
            f"the column {name} (for {canonical}) is missing; the file has {', '.join(received.header)}: "
            "correct the file, or columns in [[source.files]]"
        )
    return received.columns.column(name)


def _measured(received: Received, name: str, canonical: str, mapping: TableMapping) -> Text:
    """A received column in which the words for nothing, and empty texts, are missing."""
    return without_null_texts(_named(received, name, canonical), ["", *mapping.null_texts])


def _column(received: Received, mapping: TableMapping, canonical: str, is_category: bool = False) -> Text:
    if canonical in mapping.constants:
        return repeated(mapping.constants[canonical], len(received.numbers))
    column: Text = _named(received, mapping.columns.get(canonical, canonical), canonical)
    column = without_null_texts(column, _null_texts(mapping, canonical, is_category))
    if canonical in _TIMES and mapping.time_unit == "timestamp":
        column = iso_times(column, mapping.time_formats, mapping.timezone)
    if canonical in mapping.spellings:
        column = _respelled(column, mapping.spellings[canonical])
    return column


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
        elif target in mapping.columns or target in mapping.constants or target in received.header:
            columns[target] = _column(received, mapping, target, target in config.features.categorical)
        elif target == "age" and "birth_date" in mapping.columns:
            born = _column(received, mapping, "birth_date")
            columns[target] = ages(born, columns["admitted_at"], config.workspace.timezone)
        elif not (target in _OPTIONAL or (target == "admitted_at" and mapping.los_column)):
            _column(received, mapping, target)
    for target in config.features.numeric:
        columns[target] = _decimal(columns[target], mapping)
    # With no identifier of the patient, each stay counts as a patient of its own.
    columns.setdefault("patient_id", columns["stay_id"])
    if mapping.los_column:
        lengths = _decimal(_measured(received, mapping.los_column, LOS_DAYS, mapping), mapping)
        columns[LOS_DAYS] = _scaled(lengths, _MINUTES[mapping.los_unit] / 1440)
        if "admitted_at" not in columns:
            columns |= placed_by_extract_date(columns[LOS_DAYS], extract_date, config.workspace.timezone)
    return raw_rows(columns | _retractions(received, mapping), name, received.numbers)


def _retractions(received: Received, mapping: TableMapping) -> dict[str, Text]:
    """The mark of rows that the source takes back: by the texts of columns, or as received."""
    marked = [is_one_of(_named(received, name, name), texts) for name, texts in mapping.retracted_when.items()]
    if not marked:
        named = RETRACTED in mapping.columns or RETRACTED in received.header
        return {RETRACTED: _column(received, mapping, RETRACTED)} if named else {}
    any_mark = marked[0]
    for one in marked[1:]:
        any_mark = pc.or_(any_mark, one)
    return {RETRACTED: pc.if_else(any_mark, "true", pa.scalar(None, pa.string()))}


def _decimal(column: Text, mapping: TableMapping) -> Text:
    """Numbers with a decimal comma, and marks between thousands, as numbers with a point: 1.250 is 1250."""
    return on_distinct(column, _with_point) if mapping.decimal_comma else column


def _with_point(distinct: pa.Array) -> pa.Array:
    texts = pc.utf8_trim_whitespace(distinct)
    plain = pc.replace_substring(pc.replace_substring_regex(texts, _THOUSANDS_MARK, ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(texts, _COMMA_NUMBER), plain, texts)


def pointed_numbers(received: Received, names: Collection[str]) -> int:
    """Rows in which one of the columns has a number such as 12.5, with a point that marks no thousands."""
    found = np.zeros(len(received.numbers), dtype=bool)
    for name in {*names} & {*received.columns.column_names}:
        texts = pc.utf8_trim_whitespace(received.columns.column(name).cast(pa.string()))
        pointed = pc.match_substring_regex(texts, _POINT_NUMBER)
        thousands = pc.match_substring_regex(texts, _COMMA_NUMBER)
        found |= pc.fill_null(pc.and_not(pointed, thousands), False).to_numpy()
    return int(found.sum())


def _scaled(texts: Text, factor: float) -> Text:
    """Numbers as text times `factor`; what is not a number stays as it is, for the contract to refuse."""
    if factor == 1:
        return texts
    return on_distinct(texts, lambda distinct: _scaled_texts(distinct, factor))


def _scaled_texts(distinct: pa.Array, factor: float) -> pa.Array:
    received = distinct.to_pylist()
    numbers = parse_numbers(pd.Series(received, dtype="str")).values.to_numpy(dtype=np.float64, na_value=np.nan)
    scaled = (text if np.isnan(number) else repr(float(number) * factor)
              for text, number in zip(received, numbers, strict=True))  # fmt: skip
    return pa.array(scaled, pa.string())


def _time(received: Received, mapping: TableMapping) -> dict[str, Text]:
    """The time as received; one counted from the admission also in minutes, to be resolved against the stays."""
    times = _column(received, mapping, "observed_at")
    if mapping.time_unit == "timestamp":
        return {"observed_at": times}
    counted = _scaled(_decimal(times, mapping), _MINUTES[mapping.time_unit])
    return {"observed_at": times, MINUTES_AFTER_ADMISSION: counted}


def _long_observations(received: Received, name: str, mapping: TableMapping) -> pa.Table:
    columns = {
        target: _column(received, mapping, target) for target in OBSERVATION_CORE if target != "observed_at"
    }
    units = _measured(received, mapping.unit_column, "unit_column", mapping) if mapping.unit_column else None
    columns["value"] = _in_own_units(_decimal(columns["value"], mapping), columns["variable"], units, mapping)
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
    spellings = mapping.spellings.get("variable", {})
    for column in mapping.variables:
        values = _measured(received, column, "a variable", mapping)
        seen = pc.is_valid(values)
        present = seen.to_numpy(zero_copy_only=False)
        variable = repeated(spellings.get(column, column), int(present.sum()))
        filtered = _in_own_units(_decimal(values.filter(seen), mapping), variable, None, mapping)
        columns = {key: column.filter(seen) for key, column in shared.items()}
        yield raw_rows(columns | {"variable": variable, "value": filtered}, name, received.numbers[present])
