"""Delimited text, plain or compressed, in any encoding, as text columns."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from medlstm.settings.source import CsvFileMapping, JoinSection
from medlstm.sources.asked_columns import AskedColumns
from medlstm.sources.mapping import Received, no_rows, refuse_repeated
from medlstm.sources.quoted_line_ends import QuotedLineEnds
from medlstm.sources.text_stream import REPLACED, Utf8Stream, opened
from medlstm.values.identifiers import plain_identifiers
from medlstm.values.text_columns import UnfitFileError

BLOCK_BYTES = 8 << 20
_SAMPLE_BYTES = 1 << 18
_SAMPLE_ROWS = 100
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class _Header:
    """The names of columns as rows have them, and how many lines to skip if these are not the first line's."""

    names: list[str]
    skip_lines: int = 0


def read_delimited(path: Path, asked: AskedColumns, form: CsvFileMapping | JoinSection) -> Iterator[Received]:
    """The columns asked for, first without a row. Raises UnfitFileError, pyarrow.ArrowException, OSError."""
    header = _header(path, asked, form)
    names = header.names
    yield no_rows(names, asked.names)
    skipped: list[tuple[int, str]] = []
    first_row = max(header.skip_lines, 1)

    def skip(row: pa_csv.InvalidRow) -> str:
        # The parser counts the header as row 1.
        skipped.append((row.number - first_row, row.text))
        return "skip"

    read, seen = 0, 0
    quotes = QuotedLineEnds(form.delimiter, len(names)) if form.quoting == "standard" else None
    with Utf8Stream(path, form.encoding, quotes) as stream:
        for batch in _batches(stream, header, asked, form, skip):
            lines, seen = skipped[seen:], len(skipped)
            numbers = np.arange(read + 1, read + batch.num_rows + len(lines) + 1)
            read += len(numbers)
            kept = np.delete(numbers, [number - numbers[0] for number, _ in lines])
            rows = pa.table({name: _text(batch.column(name), name, asked) for name in batch.schema.names})
            if stream.replaced:
                yield _decoded(names, pa.table(batch), rows, kept, lines)
            else:
                yield Received(names, rows, kept, lines)
    yield no_rows(names, asked.names, skipped[seen:], _told(quotes) if quotes else {})


def _batches(
    stream: Utf8Stream,
    header: _Header,
    asked: AskedColumns,
    form: CsvFileMapping | JoinSection,
    skip: Callable[[pa_csv.InvalidRow], str],
) -> Iterator[pa.RecordBatch]:
    columns = [name for name in header.names if name in asked.names]
    explicit = {"column_names": header.names, "skip_rows": header.skip_lines} if header.skip_lines else {}
    quoted = form.quoting == "standard"
    yield from pa_csv.open_csv(
        pa.PythonFile(stream, "r"),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, **explicit),
        parse_options=pa_csv.ParseOptions(
            invalid_row_handler=skip, newlines_in_values=quoted, delimiter=form.delimiter,
            quote_char='"' if quoted else False,
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True,
            null_values=[""], quoted_strings_can_be_null=True,
        ),
    )  # fmt: skip


def _text(column: pa.Array, name: str, asked: AskedColumns) -> pa.Array:
    return plain_identifiers(column) if name in asked.identifiers else column


def _told(quotes: QuotedLineEnds) -> dict[str, int]:
    """What a person should know of the file's quotes, with the number of rows that each concerns."""
    found = {}
    if quotes.mended:
        told = (f"open a quote that is not closed at the end of a field, and were read with quotes as text (the first "
                f"is line {quotes.mended[0]}; if quotes never enclose fields, set quoting = \"none\")")  # fmt: skip
        found[told] = len(quotes.mended)
    if quotes.doubtful:
        told = (f"have line ends within quotes and, between these, what may be another row (the first is line "
                f"{quotes.doubtful[0]}; are they one row?)")  # fmt: skip
        found[told] = len(quotes.doubtful)
    return found


def _decoded(
    names: list[str], received: pa.Table, rows: pa.Table, numbers: np.ndarray, lines: list[tuple[int, str]]
) -> Received:
    """A row with bytes that were not of the file's encoding becomes an unparsed line, and its neighbours stay rows."""
    broken = np.zeros(rows.num_rows, dtype=bool)
    for column in received.columns:
        broken |= pc.fill_null(pc.match_substring(column, REPLACED), False).to_numpy()
    found = [
        (int(numbers[row]), ",".join(value or "" for value in received.slice(row, 1).to_pylist()[0].values()))
        for row in np.flatnonzero(broken)
    ]
    return Received(names, rows.filter(pa.array(~broken)), numbers[~broken], sorted(lines + found))


def _header(path: Path, asked: AskedColumns, form: CsvFileMapping | JoinSection) -> _Header:
    """The file's first line that is not empty. Columns that have neither a name nor a value are none."""
    rows = _first_rows(path, form)
    if not rows:
        raise UnfitFileError("it is empty; is it complete?")
    names, lines = rows[0]
    if any(REPLACED in name for name in names) and not asked.needed <= set(names):
        raise UnfitFileError(_wrong_encoding(path, form.encoding))
    refuse_repeated(names, asked.names)
    widths = Counter(len(row) for row, _ in rows[1:])
    width = widths.most_common(1)[0][0] if widths else len(names)
    surplus = [text for row, _ in rows[1:] if len(row) == width for text in row[len(names) :]]
    if width == len(names) or any(names[width:]) or any(surplus):
        return _Header(names)
    return _Header([*names, *[""] * width][:width], lines)


def _first_rows(path: Path, form: CsvFileMapping | JoinSection) -> list[tuple[list[str], int]]:
    """Of the first rows the texts, and the number of lines up to their end."""
    with Utf8Stream(path, form.encoding) as stream:
        sample = b""
        while len(sample) < _SAMPLE_BYTES and (block := stream.read(_SAMPLE_BYTES)):
            sample += block
    text = sample.decode("utf-8", "replace").removeprefix("\ufeff")
    quoting = csv.QUOTE_MINIMAL if form.quoting == "standard" else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter, quoting=quoting)
    rows: list[tuple[list[str], int]] = []
    try:
        for row in reader:
            if row:
                rows.append((row, reader.line_num))
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:
        return rows
    # The last one may be cut.
    return rows if len(sample) < _SAMPLE_BYTES or len(rows) < 2 else rows[:-1]


def _wrong_encoding(path: Path, encoding: str) -> str:
    with opened(path) as stream:
        begins = stream.read(2)
    if begins in _UTF16:
        return f'UTF-16 text, not {encoding.upper()}; set encoding = "utf-16" in [[source.files]]'
    return f"its header is not {encoding.upper()} text; set encoding in [[source.files]]"
