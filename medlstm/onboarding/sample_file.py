"""A look into a file: how it is written, its columns, and for judging files against each other its first rows."""

import io
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from medlstm.onboarding.column_kinds import Column, describe_column
from medlstm.onboarding.text_form import TextForm, decoded, form_of
from medlstm.sources import json_lines
from medlstm.values.text_columns import as_text

# Small files whole; of large ones the beginning.
SAMPLE_ROWS = 200_000
_SAMPLE_BYTES = 32 << 20
# A number or a date, with or without more behind it that is no letter.
_IS_VALUE = re.compile(r"^[+-]?\d+(?:[.,]\d+)*$|^\d{1,4}[./-]\d{1,2}[./-]\d{2,4}(?:[T ]|$)")
_DELIMITED = (".csv", ".tsv", ".txt")
Form = Literal["delimited", "json_lines", "parquet", "unknown"]


@dataclass(frozen=True)
class FileSample:
    """`name` is the path within a landing folder; `rows` are texts, never shown; `problem` says why there are none.

    `file_of_row` [rows]: which of several files of one kind a row is from, None where there is one.
    """

    name: str
    form: Form
    columns: tuple[Column, ...] = ()
    rows: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    whole: bool = True
    text: TextForm = field(default_factory=TextForm)
    problem: str | None = None
    file_of_row: np.ndarray | None = field(default=None, repr=False, compare=False)

    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        return next(one for one in self.columns if one.name == name)


def sample_file(path: Path, name: str | None = None) -> FileSample:
    """Look at the first rows of a file; whatever it holds, this raises nothing."""
    name = name or path.name
    plain = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    try:
        if plain.endswith(".parquet"):
            return _sample_parquet(path, name)
        if plain.endswith(json_lines.SUFFIXES):
            return _sample_json_lines(path, name)
        if plain.endswith(_DELIMITED):
            return _sample_delimited(path, name)
    except (OSError, ValueError, pa.ArrowException) as error:
        return FileSample(name, "unknown", problem=f"cannot be read ({type(error).__name__}); is it complete?")
    return FileSample(name, "unknown",
                      problem="neither .csv, .tsv, .txt, .jsonl, .ndjson (also .gz or .zst) nor .parquet")  # fmt: skip


def _sample_parquet(path: Path, name: str) -> FileSample:
    with pq.ParquetFile(path) as file:
        batch = next(file.iter_batches(SAMPLE_ROWS), None)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    columns, texts = [], {}
    for one in schema:
        values = batch.column(one.name) if batch is not None else pa.nulls(0, one.type)
        if pa.types.is_nested(one.type):
            columns.append(Column(one.name, "text", len(values), 1.0, 1.0))
            continue
        texts[one.name] = as_text(values).cast(pa.string()).to_pandas().astype("str")
        described = describe_column(one.name, texts[one.name])
        is_duration = pa.types.is_duration(one.type)
        columns.append(Column(one.name, "duration", described.distinct, described.distinct_share,
                              described.filled_share) if is_duration else described)  # fmt: skip
    return FileSample(name, "parquet", tuple(columns), pd.DataFrame(texts), rows <= SAMPLE_ROWS)


def _sample_json_lines(path: Path, name: str) -> FileSample:
    batch = next(json_lines.read_json_lines(path, SAMPLE_ROWS), [])
    rows = [dict(json_lines.flattened(content)) for _, content, _ in batch if content is not None]
    if not rows:
        return FileSample(name, "json_lines", problem="none of its first lines is a JSON object in UTF-8")
    frame = pd.DataFrame(rows).astype("str")
    columns = tuple(describe_column(str(one), frame[one]) for one in frame)
    return FileSample(name, "json_lines", columns, frame, len(batch) < SAMPLE_ROWS)


def _sample_delimited(path: Path, name: str) -> FileSample:
    with pa.input_stream(str(path), compression="detect") as stream:
        content = stream.read(_SAMPLE_BYTES)
    whole = len(content) < _SAMPLE_BYTES
    text, encoding = decoded(content, whole)
    form = replace(form_of(text, encoding), is_ascii=encoding == "utf-8" and content.isascii())
    frame = _rows(text, form)
    if frame.columns.empty:
        return FileSample(name, "delimited", problem="it is empty, without a line of column names")
    if any(_IS_VALUE.match(str(one)) for one in frame):
        return FileSample(name, "delimited", problem="its first line looks like values, not like names of columns")
    columns = tuple(describe_column(str(one), frame[one]) for one in frame)
    return FileSample(name, "delimited", columns, frame, whole and len(frame) < SAMPLE_ROWS, form)


def _rows(text: str, form: TextForm) -> pd.DataFrame:
    """The text's rows as texts, by the first column of each name; lines that do not fit the header are left out."""
    try:
        table = _parsed(text, form.delimiter, form.quoting == "double")
    except pa.ArrowInvalid:
        # A quote that is never closed.
        table = _parsed(text, form.delimiter, False)
    header = [(column[0].as_py() or "").strip() for column in table.columns] if table.num_rows else []
    named = [place for place, one in enumerate(header) if one and header.index(one) == place]
    rows = table.slice(1, SAMPLE_ROWS).select(named).rename_columns([header[place] for place in named])
    return rows.to_pandas().astype("str")


def _parsed(text: str, delimiter: str, quoted: bool) -> pa.Table:
    """Header and rows as texts, all columns named by their number."""
    widest = text.partition("\n")[0].count(delimiter) + 1
    return pa_csv.read_csv(
        io.BytesIO(text.encode()),
        pa_csv.ReadOptions(use_threads=False, block_size=max(len(text) * 4, 1 << 20), autogenerate_column_names=True),
        pa_csv.ParseOptions(
            delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted,
            invalid_row_handler=lambda _: "skip",
        ),
        pa_csv.ConvertOptions(column_types={f"f{place}": pa.string() for place in range(widest)}),
    )  # fmt: skip
