"""Parquet files of plain columns, of whatever type, as text."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medlstm.sources.asked_columns import AskedColumns
from medlstm.sources.mapping import Received, no_rows, refuse_repeated
from medlstm.sources.source_batch import BATCH_ROWS
from medlstm.values.identifiers import identifier_text
from medlstm.values.text_columns import Text, UnfitFileError, as_text, hours_of


def read_parquet(path: Path, asked: AskedColumns) -> Iterator[Received]:
    """The columns asked for, first without a row. Raises UnfitFileError, pyarrow.ArrowException, OSError."""
    with open_parquet(path) as file:
        schema = file.schema_arrow
        header = schema.names
        refuse_repeated(header, asked.names)
        yield no_rows(header, asked.names)
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=[name for name in header if name in asked.names]):
            columns = {name: _text(batch.column(name), name, asked) for name in batch.schema.names}
            yield Received(header, pa.table(columns), np.arange(read + 1, read + batch.num_rows + 1), [])
            read += batch.num_rows


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, text as dictionaries. Timestamps as old Spark and Impala write them would run over in nanoseconds."""
    schema = pq.read_schema(path)
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    return pq.ParquetFile(path, read_dictionary=texts, coerce_int96_timestamp_unit="us")


def _text(column: pa.Array, name: str, asked: AskedColumns) -> Text:
    kind = column.type
    if pa.types.is_nested(kind):
        raise UnfitFileError(f"the column {name} is nested, not one value a row; export it as plain columns")
    if name in asked.identifiers:
        return identifier_text(column, name)
    if pa.types.is_duration(kind) and name in asked.durations:
        return as_text(pc.divide(hours_of(column), 1 / asked.durations[name]))
    texts = as_text(column)
    if name in asked.comma_numbers and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return pc.replace_substring(texts, ".", ",")
    return texts
