"""A look at the beginning of a file: how it is written, and what kind of thing each column holds."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.sources import json_lines
from medlstm.values.text_columns import as_text

SAMPLE_ROWS = 5000
_SAMPLE_BYTES = 2 << 20
_DELIMITERS = (",", ";", "\t", "|")
_TIME_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%Y%m%d%H%M%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%d-%b-%Y %H:%M:%S", "%d-%b-%Y",
)  # fmt: skip
_COMMA_NUMBER = re.compile(r"^[+-]?\d{1,3}(?:[. ]?\d{3})*,\d+$")
Kind = Literal["empty", "number", "comma_number", "time", "duration", "text"]


@dataclass(frozen=True)
class Column:
    """One column of the sample: never a value of it. `time_formats` are those that fit all of its texts."""

    name: str
    kind: Kind
    time_formats: tuple[str, ...]
    distinct_share: float
    filled_share: float


@dataclass(frozen=True)
class FileSample:
    """How a file is written; `problem` says why it could not be looked at."""

    path: Path
    form: Literal["delimited", "json_lines", "parquet", "unknown"]
    columns: tuple[Column, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    problem: str | None = None

    def names(self) -> list[str]:
        return [column.name for column in self.columns]


def sample_file(path: Path) -> FileSample:
    """Look at the first rows of a file; whatever it holds, this raises nothing."""
    plain = path.name.removesuffix(".gz").removesuffix(".zst")
    try:
        if path.name.endswith(".parquet"):
            return _sample_parquet(path)
        if plain.endswith(json_lines.SUFFIXES):
            return _sample_json_lines(path)
        if plain.endswith((".csv", ".tsv", ".txt")):
            return _sample_delimited(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        return FileSample(path, "unknown", problem=f"cannot be read ({type(error).__name__}); is it complete?")
    return FileSample(path, "unknown",
                      problem="neither .csv, .tsv, .txt, .jsonl, .ndjson (also .gz or .zst) nor .parquet")  # fmt: skip


def _sample_parquet(path: Path) -> FileSample:
    with pq.ParquetFile(path) as file:
        batch = next(file.iter_batches(SAMPLE_ROWS), None)
        schema = file.schema_arrow
    columns = []
    for field in schema:
        values = batch.column(field.name) if batch is not None else pa.nulls(0, field.type)
        if pa.types.is_nested(field.type):
            columns.append(Column(field.name, "text", (), 1.0, 1.0))
            continue
        texts = as_text(values).to_pandas().astype("str")
        described = describe_column(field.name, texts)
        if pa.types.is_duration(field.type):
            described = Column(field.name, "duration", (), described.distinct_share, described.filled_share)
        columns.append(described)
    return FileSample(path, "parquet", tuple(columns))


def _sample_json_lines(path: Path) -> FileSample:
    batch = next(json_lines.read_json_lines(path, SAMPLE_ROWS), [])
    rows = [dict(json_lines.flattened(content)) for _, content, _ in batch if content is not None]
    if not rows:
        return FileSample(path, "json_lines", problem="none of its first lines is a JSON object")
    frame = pd.DataFrame(rows).astype("str")
    return FileSample(path, "json_lines", tuple(describe_column(str(name), frame[name]) for name in frame))


def _sample_delimited(path: Path) -> FileSample:
    with pa.input_stream(str(path), compression="detect") as stream:
        content = stream.read(_SAMPLE_BYTES)
    whole = len(content) < _SAMPLE_BYTES
    lines = content if whole else content[: content.rfind(b"\n") + 1]
    text, encoding = _decoded(lines)
    delimiter = _delimiter(text)
    frame = pd.read_csv(
        io.StringIO(text), sep=delimiter, dtype="str", nrows=SAMPLE_ROWS, on_bad_lines="skip", keep_default_na=False,
        na_values=[""], index_col=False, engine="python" if not whole else "c",
    )  # fmt: skip
    if any(describe_column("", pd.Series([str(name)], dtype="str")).kind != "text" for name in frame):
        return FileSample(path, "delimited", problem="its first line looks like values, not like names of columns")
    columns = tuple(describe_column(str(name), frame[name]) for name in frame)
    return FileSample(path, "delimited", columns, delimiter, encoding)


def _decoded(content: bytes) -> tuple[str, str]:
    try:
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def _delimiter(text: str) -> str:
    """The character that cuts the header into most parts and the lines after it into as many."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    if not lines:
        return ","

    def fit(delimiter: str) -> float:
        parts = [line.count(delimiter) for line in lines]
        return parts[0] * float(np.mean([count == parts[0] for count in parts]))

    return max(_DELIMITERS, key=fit)


def describe_column(name: str, texts: pd.Series) -> Column:
    """What kind of column [n] texts make; a kind must fit 98 % of what is there."""
    filled = texts.dropna().str.strip()
    filled = filled[filled != ""]
    share = len(filled) / max(len(texts), 1)
    distinct = filled.nunique() / max(len(filled), 1)
    if filled.empty:
        return Column(name, "empty", (), 0.0, share)
    if pd.to_numeric(filled, errors="coerce").notna().mean() >= 0.98:
        return Column(name, "number", (), distinct, share)
    if filled.str.match(_COMMA_NUMBER.pattern + r"|^[+-]?\d+$").mean() >= 0.98:
        return Column(name, "comma_number", (), distinct, share)
    if pd.to_datetime(filled, format="ISO8601", utc=True, errors="coerce").notna().mean() >= 0.98:
        return Column(name, "time", (), distinct, share)
    fitting = tuple(one for one in _TIME_FORMATS
                    if pd.to_datetime(filled, format=one, errors="coerce").notna().mean() >= 0.98)  # fmt: skip
    return Column(name, "time" if fitting else "text", fitting, distinct, share)
