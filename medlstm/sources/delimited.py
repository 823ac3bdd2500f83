"""Delimited text, plain or compressed, in any encoding, as text columns."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
            received = _with_fitting_lines(Received(names, pa.table(batch), kept, lines), form)
            received = _decoded(received) if stream.replaced else received
            yield replace(received, columns=_as_asked(received.columns, asked))
    at_end = _with_fitting_lines(no_rows(names, asked.names, skipped[seen:], _told(quotes) if quotes else {}), form)
    yield replace(at_end, columns=_as_asked(at_end.columns, asked))


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


def _with_fitting_lines(received: Received, form: CsvFileMapping | JoinSection) -> Received:
    """A line that the parser refused is a row after all, if it has more or fewer columns only behind the last one that
    has a name, and nothing in them: spreadsheets leave out delimiters at the end of some rows."""
    fitting = {number: row for number, text in received.unparsed if (row := _fitted(text, received.header, form))}
    if not fitting:
        return received
    numbers = np.concatenate([received.numbers, np.array(list(fitting), dtype=np.int64)])
    order = np.argsort(numbers)
    columns = {}
    for name, column in zip(received.columns.column_names, received.columns.columns, strict=True):
        place = received.header.index(name)
        more = pa.chunked_array([pa.array([row[place] or None for row in fitting.values()], pa.string())])
        columns[name] = pa.chunked_array([*column.chunks, *more.chunks]).take(pa.array(order))
    unparsed = [(number, text) for number, text in received.unparsed if number not in fitting]
    return replace(received, columns=pa.table(columns), numbers=numbers[order], unparsed=unparsed)


def _fitted(line: str, header: list[str], form: CsvFileMapping | JoinSection) -> list[str] | None:
    try:
        row: list[str] = next(_reader(io.StringIO(line, newline=""), form), [])
    except csv.Error:
        return None
    named = max((place + 1 for place, name in enumerate(header) if name), default=0)
    return row if row and len(row) >= named and not any(row[named:]) else None


def _as_asked(columns: pa.Table, asked: AskedColumns) -> pa.Table:
    texts = {name: plain_identifiers(columns.column(name)) if name in asked.identifiers else columns.column(name)
             for name in columns.column_names}  # fmt: skip
    return pa.table(texts)


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


def _decoded(received: Received) -> Received:
    """A row with bytes that were not of the file's encoding becomes an unparsed line, and its neighbours stay rows."""
    rows, numbers = received.columns, received.numbers
    broken = np.zeros(len(numbers), dtype=bool)
    for column in rows.columns:
        broken |= pc.fill_null(pc.match_substring(column, REPLACED), False).to_numpy()
    found = [
        (int(numbers[row]), ",".join(value or "" for value in rows.slice(row, 1).to_pylist()[0].values()))
        for row in np.flatnonzero(broken)
    ]
    return replace(received.take(pa.array(~broken)), unparsed=sorted(received.unparsed + found))


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
    reader = _reader(io.StringIO(text, newline=""), form)
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


def _reader(text: io.StringIO, form: CsvFileMapping | JoinSection) -> Any:
    if form.quoting == "none":
        return csv.reader(text, delimiter=form.delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(text, delimiter=form.delimiter)


def _wrong_encoding(path: Path, encoding: str) -> str:
    with opened(path) as stream:
        begins = stream.read(2)
    if begins in _UTF16:
        return f'UTF-16 text, not {encoding.upper()}; set encoding = "utf-16" in [[source.files]]'
    return f"its header is not {encoding.upper()} text; set encoding in [[source.files]]"
