"""Parquet tables of a workspace, one file per table and date, replaced atomically; all file-system calls live here.

A partition's file lacks the column of its date (see `medlstm.lake.partitions`): it is taken off where files are
written, and put back where they are read, so that all other code sees whole tables.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.lake.partitions import PARTITION_FOLDER, PARTITION_NAME, date_column, with_date

ROW_GROUP_ROWS = 131_072
_HASHED_BYTES = 1 << 18


@dataclass(frozen=True)
class Workspace:
    """The folders of one workspace; `root` is an existing folder with a medlstm.toml."""

    root: Path

    def landing(self, day: date) -> Path:
        return self.root / "landing" / day.isoformat()

    def raw(self, table: str) -> Path:
        return self.root / "lake" / "raw" / table

    def admitted(self, table: str) -> Path:
        return self.root / "lake" / table

    def quarantine(self, table: str) -> Path:
        return self.root / "lake" / "quarantine" / table

    def sequences(self, as_of: date) -> Path:
        return self.root / "lake" / "sequences" / f"as_of={as_of.isoformat()}"

    def reference(self, table: str) -> Path:
        """Rows that joins look up, as they came by their dates."""
        return self.references / table

    @property
    def references(self) -> Path:
        return self.root / "lake" / "reference"

    @property
    def predictions(self) -> Path:
        return self.root / "lake" / "predictions"

    @property
    def backtest(self) -> Path:
        """Which past nights were scored afterwards."""
        return self.root / "lake" / "backtest.json"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def deliveries(self) -> Path:
        """What was read as which extract date, one JSON file each."""
        return self.root / "lake" / "deliveries"

    @property
    def remembered(self) -> Path:
        """What deliveries said that later ones refer to, one Parquet file a date."""
        return self.root / "lake" / "remembered"

    @property
    def audit(self) -> Path:
        return self.root / "lake" / "audit.jsonl"

    @property
    def format(self) -> Path:
        """The mark of `medlstm.lake.format`."""
        return self.root / "lake" / "format.json"

    @property
    def indexes(self) -> Path:
        """What is derived from the tables to read them faster, and may be removed at any time."""
        return self.root / "lake" / ".indexes"

    @property
    def scratch(self) -> Path:
        """For temporary files without a name."""
        return self.root / "lake" / ".scratch"

    def report(self, as_of: date) -> Path:
        return self.root / "reports" / as_of.isoformat()


def partition_file(table_folder: Path, day: date, key: str = "extract_date") -> Path:
    """The one file of a table's date partition, whether or not it exists."""
    return Path(f"{table_folder}/{key}={day.isoformat()}/{PARTITION_NAME}")


def partition_dates(table_folder: Path) -> list[date]:
    """The dates of a table whose partition file exists, oldest first."""
    if not table_folder.is_dir():
        return []
    # Texts rather than paths: a night asks a dozen times, of a thousand dates 30 ms each time.
    with os.scandir(table_folder) as entries:
        found = [match for entry in entries if (match := PARTITION_FOLDER.match(entry.name))]
    present = (one for one in found if os.access(f"{table_folder}/{one.group(0)}/{PARTITION_NAME}", os.F_OK))
    return sorted(date.fromisoformat(one.group(2)) for one in present)


def partitions_until(table_folder: Path, as_of: date, key: str = "extract_date") -> list[Path]:
    """The partition files that a night `as_of` may read, oldest first."""
    return [partition_file(table_folder, day, key) for day in partition_dates(table_folder) if day <= as_of]


def write_table(table: pa.Table, path: Path) -> None:
    """Write one Parquet file so that a reader sees the old file, the new one, or none, never half.

    Raises MedlstmError where a partition's row has another date than its folder.
    """
    dated = date_column(path)
    if dated:
        metadata = dated.metadata(dated.position(table.schema))
        table = dated.taken_off(table).replace_schema_metadata(metadata)
    with put_in_place(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file that was put in place."""

    path: Path
    rows: int
    bytes: int
    sha256: str


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    # A landing folder can hold ten thousand small files: hashlib.file_digest would clear 256 kB for each.
    with path.open("rb", buffering=0) as file:
        while block := file.read(_HASHED_BYTES):
            digest.update(block)
    return digest.hexdigest()


class StagedTables:
    """Parquet files written row by row beside their final names; `commit` puts them in place, in the order given.

    Used as a context manager: what was not committed when the block ends is removed.
    """

    def __init__(self) -> None:
        self._writers: dict[Path, pq.ParquetWriter] = {}
        self._temporaries: dict[Path, Path] = {}

    def __enter__(self) -> "StagedTables":
        return self

    def __exit__(self, *_: object) -> None:
        for path in list(self._writers):
            self.close(path)
        for temporary in self._temporaries.values():
            temporary.unlink(missing_ok=True)

    def open(self, path: Path, schema: pa.Schema, unsearched: Collection[str] = ()) -> None:
        """Begin the file of `path`: its rows so far are none. Text columns may be dictionaries; readers see text.

        `unsearched` columns get no smallest and largest value in the footer, which take as long as compressing them.
        """
        temporary = _temporary(path)
        self._temporaries[path] = temporary
        dated = date_column(path)
        position = dated.position(schema) if dated else None
        schema = schema if position is None else schema.remove(position)
        counted = [one.name for one in schema if pa.types.is_integer(one.type) or pa.types.is_timestamp(one.type)]
        self._writers[path] = pq.ParquetWriter(
            temporary, schema, compression="zstd", store_schema=False,
            use_dictionary=[
                one.name for one in schema if pa.types.is_dictionary(one.type) or pa.types.is_float64(one.type)
            ],
            write_statistics=[name for name in schema.names if name not in unsearched],
            column_encoding=dict.fromkeys(counted, "DELTA_BINARY_PACKED"),
        )  # fmt: skip
        if dated:
            # Beside the schema, which is not stored: readers would take its dictionaries for the columns' types.
            self._writers[path].add_key_value_metadata(dated.metadata(position))

    def write(self, path: Path, table: pa.Table) -> None:
        """Append rows; a column that the table lacks is null in them. Raises MedlstmError as `write_table` does."""
        if table.num_rows:
            writer, dated = self._writers[path], date_column(path)
            table = dated.taken_off(table) if dated else table
            columns = [
                table.column(one.name) if one.name in table.column_names else pa.nulls(table.num_rows, one.type)
                for one in writer.schema
            ]
            writer.write_table(pa.table(columns, schema=writer.schema), row_group_size=ROW_GROUP_ROWS)

    def close(self, path: Path) -> None:
        """End the file, still beside its final name."""
        self._writers.pop(path).close()

    def seal(self, path: Path) -> WrittenFile:
        """End the file, still beside its final name, and say what `commit` will put in place."""
        if path in self._writers:
            self.close(path)
        temporary = self._temporaries[path]
        return WrittenFile(path, row_count(temporary), temporary.stat().st_size, sha256_of(temporary))

    def commit(self, paths: Sequence[Path]) -> list[WrittenFile]:
        """Fsync and rename each file; a reader sees the old one or the new one, never half."""
        written = []
        for path in paths:
            written.append(self.seal(path))
            temporary = self._temporaries.pop(path)
            _fsync(temporary)
            temporary.replace(path)
            _fsync(path.parent)
        return written


def read_table(path: Path) -> pa.Table:
    """Read one Parquet file as the table that was written: a partition with the column of its date."""
    return with_date(pq.ParquetFile(path).read(), path)


def table_schema(path: Path) -> pa.Schema:
    """The schema of what `read_table` reads, by the footer."""
    return with_date(pq.read_schema(path).empty_table(), path).schema


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)


def row_count(path: Path) -> int:
    """The rows of one Parquet file, by its footer."""
    return int(pq.read_metadata(path).num_rows)


def write_json(content: Any, path: Path, indent: int | None = 1) -> None:
    """Write JSON atomically, keys sorted, so that equal content gives equal bytes; None: all in one line."""
    write_text(json.dumps(content, indent=indent, sort_keys=True, ensure_ascii=False) + "\n", path)


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_text(text: str, path: Path) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(text.encode("utf-8"), path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file atomically."""
    with put_in_place(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def put_in_place(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success fsync it, rename it over `path` and fsync the folder."""
    temporary = _temporary(path)
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """A name for a file on its way to `path`. What a killed run left of it is removed: the lock of the date, or of the
    models, keeps any other run from writing it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        leftover.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{uuid4().hex}.tmp")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
