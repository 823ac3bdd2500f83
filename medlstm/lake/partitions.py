"""The date of a partition: a column of its table, but not of its file.

The folder's name tells the date (Hive's layout), and readers of a table's folder take it from there; a file that held
the column too would have it twice, which pandas and pyarrow refuse. So writing takes the column off, and reading puts
it back in its place.
"""

import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from medlstm.errors import MedlstmError

PARTITION_NAME = "part-0.parquet"
PARTITION_FOLDER = re.compile(r"^(extract_date|as_of)=(\d{4}-\d{2}-\d{2})$")
_POSITION = b"medlstm.date_column_position"
# Rows of the files $paths with their extract_date. DuckDB's own hive_partitioning would take any a=b of the whole path
# for a column, and a workspace may lie below such folders.
_DATED_ROWS_SQL = r"""
    select * exclude (partition_path),
        regexp_extract(partition_path, 'extract_date=(\d{{4}}-\d{{2}}-\d{{2}})/[^/]*$', 1)::date as extract_date
    from read_parquet(
        $paths, union_by_name = true, hive_partitioning = false, filename = 'partition_path',
        file_row_number = {numbered}
    )
"""
DATED_ROWS_SQL = _DATED_ROWS_SQL.format(numbered="false")
# The same with file_row_number, the place of a row in its file.
NUMBERED_ROWS_SQL = _DATED_ROWS_SQL.format(numbered="true")


@dataclass(frozen=True)
class DateColumn:
    """The column that the folder of the partition file `path` stands for."""

    path: Path
    name: str
    day: date

    def position(self, schema: pa.Schema) -> int | None:
        """Where a table has the column, None where it lacks it."""
        place = schema.get_field_index(self.name)
        return place if place >= 0 else None

    def metadata(self, position: int | None) -> dict[bytes, bytes]:
        """Of a file: where the column was, and that it is a date, which pandas cannot tell from a folder's name."""
        column = {"name": self.name, "field_name": self.name, "pandas_type": "date",
                  "numpy_type": "date32[day][pyarrow]", "metadata": None}  # fmt: skip
        # The version is one that has these keys, not the one installed: equal rows are equal bytes.
        content = {"index_columns": [], "column_indexes": [], "columns": [column], "pandas_version": "3.0.0"}
        place = {} if position is None else {_POSITION: str(position).encode()}
        return {b"pandas": json.dumps(content).encode(), **place}

    def taken_off(self, table: pa.Table) -> pa.Table:
        """The table as its file holds it. Raises MedlstmError where a row has another date than the folder."""
        if self.name not in table.column_names:
            return table
        column = table.column(self.name)
        if column.null_count or set(pc.min_max(column).as_py().values()) - {self.day, None}:
            raise MedlstmError(f"{self.path}: rows whose {self.name} is not {self.day} do not belong into this file")
        return table.drop_columns([self.name])


def date_column(path: Path) -> DateColumn | None:
    """The date column of a partition's file, None for any other file."""
    match = PARTITION_FOLDER.match(path.parent.name)
    if match is None or path.name != PARTITION_NAME:
        return None
    return DateColumn(path, match.group(1), date.fromisoformat(match.group(2)))


def partition_identity(path: Path) -> str:
    """A text that is another one as soon as a partition's file was replaced: its folder, size and last change."""
    status = path.stat()
    return f"{path.parent.name} {status.st_size} {status.st_mtime_ns}"


def with_date(table: pa.Table, path: Path) -> pa.Table:
    """What was read of the file `path` with its date column: where it was taken off, else last; without metadata."""
    dated = date_column(path)
    if dated is None:
        return table
    position = int((table.schema.metadata or {}).get(_POSITION, table.num_columns))
    table = table.replace_schema_metadata(None)
    if dated.name in table.column_names:
        return table
    days = pa.repeat(pa.scalar(dated.day, pa.date32()), table.num_rows)
    return table.add_column(position, pa.field(dated.name, pa.date32()), days)
