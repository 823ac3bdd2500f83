"""What a source hands over: canonical rows as text, and every file it could not read in full."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from medlstm.tables import UNPARSED, raw_schema


@dataclass(frozen=True)
class UnreadableFile:
    """A file, by its path within the landing folder, that gave no rows, and what to do about it."""

    source_file: str
    reason: str


@dataclass(frozen=True)
class LandedRows:
    """Raw stays and observations (all text, with extract_date, source_file and source_row) of one date."""

    stays: pa.Table
    observations: pa.Table
    files_read: int
    unreadable: tuple[UnreadableFile, ...]
    warnings: tuple[str, ...] = ()


def raw_table(columns: dict[str, pa.Array | pa.ChunkedArray], source_file: str, source_row: np.ndarray) -> pa.Table:
    """Text columns with where they came from; the extract date is added when the rows of a date are joined."""
    rows = len(source_row)
    return pa.table(
        {
            **columns,
            "source_file": pa.array([source_file] * rows, pa.string()),
            "source_row": pa.array(source_row, pa.int64()),
        }
    )


def join_tables(tables: list[pa.Table], extract_date: pa.Scalar, default_columns: tuple[str, ...]) -> pa.Table:
    """One raw table from those of several files; a column that a file lacks is null in its rows."""
    named = [name for table in tables for name in table.column_names if name not in ("source_file", "source_row")]
    columns = list(dict.fromkeys(named)) or list(default_columns)
    schema = raw_schema(columns)
    filled = [_fill(table, extract_date, schema) for table in tables]
    return pa.concat_tables(filled) if filled else schema.empty_table()


def _fill(table: pa.Table, extract_date: pa.Scalar, schema: pa.Schema) -> pa.Table:
    rows = table.num_rows
    columns = {
        field.name: table.column(field.name).cast(field.type) if field.name in table.column_names else None
        for field in schema
    }
    columns["extract_date"] = pa.repeat(extract_date, rows)
    arrays = [pa.nulls(rows, field.type) if columns[field.name] is None else columns[field.name] for field in schema]
    return pa.table(arrays, schema=schema)


def unparsed_rows(source_file: str, lines: list[tuple[int, str]], columns: tuple[str, ...]) -> pa.Table:
    """Lines that do not fit their file's header, as rows that only the quarantine will take."""
    numbers = np.array([number for number, _ in lines], dtype=np.int64)
    nulls = {name: pa.nulls(len(lines), pa.string()) for name in columns}
    return raw_table(nulls | {UNPARSED: pa.array([text for _, text in lines], pa.string())}, source_file, numbers)
