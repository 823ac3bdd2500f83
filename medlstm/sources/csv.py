"""Delimited and Parquet files by a column mapping: wide or long, .csv, .csv.gz and .parquet."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from medlstm.config import Config, CsvFileMapping, CsvSource
from medlstm.sources.landed import (
    BATCH_ROWS,
    FileRead,
    Landed,
    LandingFolder,
    LandingWarning,
    RowBatch,
    UnreadableFile,
    raw_rows,
    unparsed_rows,
)
from medlstm.sources.placing import placed_by_extract_date
from medlstm.tables import MINUTES_AFTER_ADMISSION, OBSERVATION_CORE, RETRACTED, STAY_CORE

_MINUTES = {"minutes": 1.0, "hours": 60.0, "days": 1440.0}
_BLOCK_BYTES = 8 << 20
_OPTIONAL = ("patient_id", "discharged_at", "died", RETRACTED)


class _UnfitFileError(Exception):
    """A file that the mapping does not fit; the message says why and what to do."""


@dataclass(frozen=True)
class _Received:
    """Some rows of a file: the mapped columns as text, the rows' numbers, and lines (number, text) that are no rows.

    `header` names all columns of the file.
    """

    header: list[str]
    columns: pa.Table
    numbers: np.ndarray
    unparsed: list[tuple[int, str]]


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Read each file by the first mapping whose pattern matches it; the files that none matches are counted."""
    assert isinstance(config.source, CsvSource)
    yield from read_mapped(landing, config.source.files, config)


def read_mapped(landing: LandingFolder, mappings: list[CsvFileMapping], config: Config) -> Iterator[Landed]:
    """As `read`, by the mappings given."""
    unmatched = 0
    for path in landing.files:
        name = landing.name(path)
        mapping = next((one for one in mappings if fnmatch(name, one.pattern)), None)
        if mapping is None:
            unmatched += 1
            continue
        try:
            for received in _read_text(path, _wanted(mapping, config)):
                for rows in _canonical(received, name, mapping, landing, config):
                    yield RowBatch(mapping.table, rows)
            yield FileRead(name)
        except (_UnfitFileError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            yield UnreadableFile(name, _reason(error))
    if unmatched:
        yield LandingWarning(
            f"{landing.extract_date}: {unmatched} of {len(landing.files)} files match no pattern of "
            "[[source.files]] and were not read"
        )


def _wanted(mapping: CsvFileMapping, config: Config) -> set[str]:
    """The file's columns that the mapping may use."""
    canonical = {*STAY_CORE, *OBSERVATION_CORE, RETRACTED, *config.features.numeric, *config.features.categorical}
    return {*canonical, *mapping.columns.values(), *mapping.variables, mapping.los_column or ""}


def _reason(error: Exception) -> str:
    """Why a file gave no more rows, without any of its values: parsers quote what they trip over."""
    if isinstance(error, _UnfitFileError):
        return str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "not UTF-8 text; export it as UTF-8"
    if "straddling" in str(error):
        return f"a row is longer than {_BLOCK_BYTES >> 20} MB; is a quote never closed?"
    return f"cannot be read as its name says ({type(error).__name__}); is it complete?"


def _canonical(
    received: _Received, name: str, mapping: CsvFileMapping, landing: LandingFolder, config: Config
) -> Iterator[pa.Table]:
    if mapping.table == "stays":
        yield _stays(received, name, mapping, landing, config)
    elif mapping.layout == "wide":
        yield from _wide_observations(received, name, mapping)
    else:
        yield _long_observations(received, name, mapping)
    if received.unparsed:
        yield unparsed_rows(name, received.unparsed)


def _read_text(path: Path, wanted: set[str]) -> Iterator[_Received]:
    """Columns as text; at least one batch, so that a file with a header alone is held against the mapping."""
    if path.name.endswith(".parquet"):
        yield from _read_parquet(path, wanted)
    elif path.name.endswith((".csv", ".csv.gz")):
        yield from _read_delimited(path, wanted)
    else:
        raise _UnfitFileError("neither .csv, .csv.gz nor .parquet; narrow the pattern or convert the file")


def _no_rows(header: list[str], wanted: set[str], unparsed: list[tuple[int, str]]) -> _Received:
    columns = {name: pa.array([], pa.string()) for name in header if name in wanted}
    return _Received(header, pa.table(columns), np.arange(0), unparsed)


def _read_parquet(path: Path, wanted: set[str]) -> Iterator[_Received]:
    schema = pq.read_schema(path)
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        header = _unique(schema.names)
        yield _no_rows(header, wanted, [])
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=[name for name in header if name in wanted]):
            texts = pa.table({name: _as_text(batch.column(name)) for name in batch.schema.names})
            yield _Received(header, texts, np.arange(read + 1, read + batch.num_rows + 1), [])
            read += batch.num_rows


def _read_delimited(path: Path, wanted: set[str]) -> Iterator[_Received]:
    header = _header(path)
    yield _no_rows(header, wanted, [])
    skipped: list[tuple[int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        # The parser counts the header as row 1.
        skipped.append((row.number - 1, row.text))
        return "skip"

    read, seen = 0, 0
    columns = [name for name in header if name in wanted]
    with pa.input_stream(str(path), compression="detect") as stream:
        reader = pa_csv.open_csv(
            stream,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=columns, column_types=dict.fromkeys(columns, pa.binary()), strings_can_be_null=True,
                null_values=[""], quoted_strings_can_be_null=True,
            ),
        )  # fmt: skip
        for batch in reader:
            lines, seen = skipped[seen:], len(skipped)
            numbers = np.arange(read + 1, read + batch.num_rows + len(lines) + 1)
            read += len(numbers)
            yield _decoded(header, batch, np.delete(numbers, [number - numbers[0] for number, _ in lines]), lines)
    if skipped[seen:]:
        yield _no_rows(header, wanted, skipped[seen:])


def _decoded(header: list[str], batch: pa.RecordBatch, numbers: np.ndarray, lines: list[tuple[int, str]]) -> _Received:
    """Bytes to text; a row that is not UTF-8 becomes an unparsed line, and its neighbours stay rows."""
    try:
        texts = {name: batch.column(name).cast(pa.string()) for name in batch.schema.names}
        return _Received(header, pa.table(texts), numbers, lines)
    except pa.ArrowInvalid:
        rows = [list(row.values()) for row in batch.to_pylist()]
        good = np.array([all(map(_is_utf8, row)) for row in rows])
        broken = [
            (int(numbers[row]), b",".join(value or b"" for value in rows[row]).decode("utf-8", "backslashreplace"))
            for row in np.flatnonzero(~good)
        ]
        return _decoded(header, batch.filter(pa.array(good)), numbers[good], sorted(lines + broken))


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _header(path: Path) -> list[str]:
    with pa.input_stream(str(path), compression="detect") as stream:
        reader = pa_csv.open_csv(
            stream,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=lambda _: "skip", newlines_in_values=True),
        )
        return _unique(list(reader.schema.names))


def _unique(names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _UnfitFileError(f"the column {repeated[0]} appears twice; export the file with distinct column names")
    return names


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        zone = "Z" if column.type.tz else ""
        moments = column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None))
        return pc.strftime(moments, format=f"%Y-%m-%dT%H:%M:%S{zone}")
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.dictionary(pa.int32(), pa.string()))
    return column.cast(pa.string())


def _column(received: _Received, mapping: CsvFileMapping, canonical: str) -> pa.ChunkedArray:
    name = mapping.columns.get(canonical, canonical)
    if name not in received.header:
        raise _UnfitFileError(
            f"the column {name} (for {canonical}) is missing; the file has {', '.join(received.header)}: "
            "correct the file, or columns in [[source.files]]"
        )
    return received.columns.column(name)


def _stays(
    received: _Received, name: str, mapping: CsvFileMapping, landing: LandingFolder, config: Config
) -> pa.Table:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for target in (*STAY_CORE, *config.features.numeric, *config.features.categorical, RETRACTED):
        if target == "stay_id" and mapping.generate_stay_ids:
            ids = [f"{landing.extract_date.isoformat()}/{name}/{row}" for row in received.numbers]
            columns[target] = pa.array(ids, pa.string())
        elif target in mapping.columns or target in received.header:
            columns[target] = _column(received, mapping, target)
        elif not (target in _OPTIONAL or (target == "admitted_at" and mapping.los_column)):
            _column(received, mapping, target)
    # With no identifier of the patient, each stay counts as a patient of its own.
    columns.setdefault("patient_id", columns["stay_id"])
    if mapping.los_column:
        named = mapping.model_copy(update={"columns": {"los_days": mapping.los_column}})
        lengths = _column(received, named, "los_days")
        columns["los_days"] = _scaled(lengths, _MINUTES[mapping.los_unit] / 1440)
        if "admitted_at" not in columns:
            columns |= placed_by_extract_date(columns["los_days"], landing.extract_date, config.workspace.timezone)
    return raw_rows(columns, name, received.numbers)


def _scaled(texts: pa.ChunkedArray, factor: float) -> pa.ChunkedArray | pa.DictionaryArray:
    """Numbers as text times `factor`; what is not a number stays as it is, for the contract to refuse."""
    if factor == 1:
        return texts
    encoded = pc.dictionary_encode(texts.cast(pa.string())).combine_chunks()
    distinct = pa.array([_scaled_text(text, factor) for text in encoded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(encoded.indices, distinct)


def _scaled_text(text: str, factor: float) -> str:
    try:
        return repr(float(text) * factor)
    except ValueError:
        return text


def _time(received: _Received, mapping: CsvFileMapping) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The time as received; one counted from the admission also in minutes, to be resolved against the stays."""
    times = _column(received, mapping, "observed_at")
    if mapping.time_unit == "timestamp":
        return {"observed_at": times}
    return {"observed_at": times, MINUTES_AFTER_ADMISSION: _scaled(times, _MINUTES[mapping.time_unit])}


def _long_observations(received: _Received, name: str, mapping: CsvFileMapping) -> pa.Table:
    columns = {
        target: _column(received, mapping, target) for target in OBSERVATION_CORE if target != "observed_at"
    }
    return raw_rows(columns | _time(received, mapping) | _retracted(received, mapping), name, received.numbers)


def _retracted(received: _Received, mapping: CsvFileMapping) -> dict[str, pa.ChunkedArray]:
    """The mark of rows that the source takes back, where it has one."""
    if RETRACTED not in mapping.columns and RETRACTED not in received.header:
        return {}
    return {RETRACTED: _column(received, mapping, RETRACTED)}


def _wide_observations(received: _Received, name: str, mapping: CsvFileMapping) -> Iterator[pa.Table]:
    """One table per variable: the rows in which it has a value."""
    stay = _column(received, mapping, "stay_id")
    time: dict[str, pa.Array | pa.ChunkedArray] = _time(received, mapping) | _retracted(received, mapping)
    for variable in mapping.variables:
        values = _column(received, mapping, variable)
        seen = pc.is_valid(values)
        present = seen.to_numpy()
        columns = {"stay_id": stay.filter(seen), **{key: column.filter(seen) for key, column in time.items()}}
        repeated = pa.DictionaryArray.from_arrays(np.zeros(int(present.sum()), np.int32), pa.array([variable]))
        yield raw_rows(columns | {"variable": repeated, "value": values.filter(seen)}, name, received.numbers[present])
