"""Delimited and Parquet files by a column mapping: wide or long, .csv, .csv.gz and .parquet."""

from datetime import date
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from medlstm.config import Config, CsvFileMapping
from medlstm.sources.landed import LandedRows, UnreadableFile, join_tables, raw_table, unparsed_rows
from medlstm.sources.offsets import resolve_offsets
from medlstm.tables import OBSERVATION_CORE, OFFSET_HOURS, STAY_CORE

_HOURS = {"minutes": 1 / 60, "hours": 1.0, "days": 24.0}
_BLOCK_BYTES = 8 << 20
_OPTIONAL = ("patient_id", "discharged_at", "died")


class _UnfitFileError(Exception):
    """A file that the mapping does not fit; the message says why and what to do."""


def read_csv_landing(
    folder: Path, files: list[Path], mappings: list[CsvFileMapping], extract_date: date, config: Config
) -> LandedRows:
    """Read each file by the first mapping whose pattern matches it; the files that none matches are counted."""
    tables: dict[str, list[pa.Table]] = {"stays": [], "observations": []}
    unreadable, unmatched, read = [], 0, 0
    for path in files:
        name = path.relative_to(folder).as_posix()
        mapping = next((one for one in mappings if fnmatch(name, one.pattern)), None)
        if mapping is None:
            unmatched += 1
            continue
        try:
            tables[mapping.table] += _read_file(path, name, mapping, extract_date, config)
            read += 1
        except (_UnfitFileError, pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            unreadable.append(UnreadableFile(name, _reason(error)))
    day = pa.scalar(extract_date, pa.date32())
    stays = join_tables(tables["stays"], day, STAY_CORE)
    observations = join_tables(tables["observations"], day, OBSERVATION_CORE)
    return LandedRows(
        stays,
        resolve_offsets(observations, stays, config.workspace.timezone),
        read,
        tuple(unreadable),
        _warnings(extract_date, len(files), unmatched),
    )


def _warnings(extract_date: date, files: int, unmatched: int) -> tuple[str, ...]:
    if files == 0:
        return (f"{extract_date}: the landing folder is empty",)
    if unmatched:
        return (f"{extract_date}: {unmatched} of {files} files match no pattern of [[source.files]] and were not read",)
    return ()


def _reason(error: Exception) -> str:
    """Why a file gave no rows, without any of its values: parsers quote what they trip over."""
    if isinstance(error, _UnfitFileError):
        return str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "not UTF-8 text; export it as UTF-8"
    return f"cannot be read as its name says ({type(error).__name__}); is it complete?"


def _read_file(path: Path, name: str, mapping: CsvFileMapping, extract_date: date, config: Config) -> list[pa.Table]:
    received, rows, malformed = _read_text(path)
    canonical = _canonical_names(mapping, config)
    lines = [unparsed_rows(name, malformed, canonical)] if malformed else []
    if mapping.table == "stays":
        return [_stays(received, rows, name, mapping, canonical, extract_date), *lines]
    if mapping.layout == "wide":
        return [*_wide_observations(received, rows, name, mapping), *lines]
    return [_long_observations(received, rows, name, mapping), *lines]


def _read_text(path: Path) -> tuple[pa.Table, np.ndarray, list[tuple[int, str]]]:
    """All columns as text, the 1-based row numbers, and the rows that do not fit the header."""
    if path.name.endswith(".parquet"):
        table = pq.ParquetFile(path).read()
        texts = pa.table({name: _as_text(table.column(name)) for name in table.column_names})
        return texts, np.arange(1, table.num_rows + 1), []
    if not path.name.endswith((".csv", ".csv.gz")):
        raise _UnfitFileError("neither .csv, .csv.gz nor .parquet; narrow the pattern or convert the file")
    malformed: list[tuple[int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        # The parser counts the header as row 1.
        malformed.append((row.number - 1, row.text))
        return "skip"

    with pa.input_stream(str(path), compression="detect") as stream:
        names = _header(path)
        table = pa_csv.read_csv(
            stream,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""],
                quoted_strings_can_be_null=True,
            ),
        )  # fmt: skip
    numbers = np.arange(1, table.num_rows + len(malformed) + 1)
    return table, np.setdiff1d(numbers, [number for number, _ in malformed]), malformed


def _header(path: Path) -> list[str]:
    with pa.input_stream(str(path), compression="detect") as stream:
        reader = pa_csv.open_csv(stream, read_options=pa_csv.ReadOptions(use_threads=False),
                                 parse_options=pa_csv.ParseOptions(invalid_row_handler=lambda _: "skip"))  # fmt: skip
        return list(reader.schema.names)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        zone = "Z" if column.type.tz else ""
        moments = column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None))
        return pc.strftime(moments, format=f"%Y-%m-%dT%H:%M:%S{zone}")
    return column.cast(pa.string())


def _canonical_names(mapping: CsvFileMapping, config: Config) -> tuple[str, ...]:
    if mapping.table == "observations":
        return OBSERVATION_CORE
    return (*STAY_CORE, *config.features.numeric, *config.features.categorical)


def _column(received: pa.Table, mapping: CsvFileMapping, canonical: str) -> pa.ChunkedArray:
    name = mapping.columns.get(canonical, canonical)
    if name not in received.column_names:
        raise _UnfitFileError(
            f"the column {name} (for {canonical}) is missing; the file has {', '.join(received.column_names)}: "
            "correct the file, or columns in [[source.files]]"
        )
    return received.column(name)


def _stays(
    received: pa.Table,
    rows: np.ndarray,
    name: str,
    mapping: CsvFileMapping,
    canonical: tuple[str, ...],
    extract_date: date,
) -> pa.Table:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for target in canonical:
        if target == "stay_id" and mapping.generate_stay_ids:
            ids = [f"{extract_date.isoformat()}/{name}/{row}" for row in rows]
            columns[target] = pa.array(ids, pa.string())
        elif target in mapping.columns or target in received.column_names:
            columns[target] = _column(received, mapping, target)
        elif not (target in _OPTIONAL or (target == "admitted_at" and mapping.los_column)):
            _column(received, mapping, target)
    if mapping.los_column:
        named = mapping.model_copy(update={"columns": {"los_days": mapping.los_column}})
        columns["los_days"] = _in_days(_column(received, named, "los_days"), mapping.los_unit)
    return raw_table(columns, name, rows)


def _in_days(lengths: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Lengths of stay as text in days; what is not a number stays as it is, for the contract to refuse."""
    factor = _HOURS[unit] / 24
    return lengths if factor == 1 else pa.chunked_array([_scaled_text(lengths, factor)])


def _scaled_text(texts: pa.ChunkedArray, factor: float) -> pa.Array:
    scaled = []
    for text in texts.to_pylist():
        try:
            scaled.append(text if text is None else repr(float(text) * factor))
        except ValueError:
            scaled.append(text)
    return pa.array(scaled, pa.string())


def _time(received: pa.Table, mapping: CsvFileMapping) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The time as received; one counted from the admission also as hours, to be resolved against the stays."""
    times = _column(received, mapping, "observed_at")
    if mapping.time_unit == "timestamp":
        return {"observed_at": times}
    return {"observed_at": times, OFFSET_HOURS: _scaled_text(times, _HOURS[mapping.time_unit])}


def _long_observations(received: pa.Table, rows: np.ndarray, name: str, mapping: CsvFileMapping) -> pa.Table:
    columns = {
        "stay_id": _column(received, mapping, "stay_id"),
        **_time(received, mapping),
        "variable": _column(received, mapping, "variable"),
        "value": _column(received, mapping, "value"),
    }
    return raw_table(columns, name, rows)


def _wide_observations(received: pa.Table, rows: np.ndarray, name: str, mapping: CsvFileMapping) -> list[pa.Table]:
    """One table per variable: the rows in which it has a value."""
    stay, time = _column(received, mapping, "stay_id"), _time(received, mapping)
    tables = []
    for variable in mapping.variables:
        values = _column(received, mapping, variable)
        seen = pc.is_valid(values)
        present = seen.to_numpy()
        columns = {"stay_id": stay.filter(seen), **{key: column.filter(seen) for key, column in time.items()}}
        columns |= {
            "variable": pa.array([variable] * int(present.sum()), pa.string()),
            "value": values.filter(seen),
        }
        tables.append(raw_table(columns, name, rows[present]))
    return tables
