"""Delimited, JSON Lines and Parquet files by a column mapping, plain or compressed, wide or long."""

from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from medlstm.settings.source import CsvFileMapping, CsvSource, JoinSection
from medlstm.settings.workspace import Config
from medlstm.sources import json_lines
from medlstm.sources.joins import Lookup, joined_columns, make_lookup, with_joined
from medlstm.sources.mapping import Received, canonical_rows, selected, wanted_columns
from medlstm.sources.source_batch import (
    BATCH_ROWS,
    FilesRead,
    Landed,
    LandingFolder,
    LandingWarning,
    RowBatch,
    UnreadableFile,
)
from medlstm.sources.text_stream import REPLACED, Utf8Stream
from medlstm.values.text_columns import UnfitFileError, as_text

_BLOCK_BYTES = 8 << 20
_READ_OPTIONS = pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES)
_DELIMITED = (".csv", ".tsv", ".txt")


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Read each file by the first mapping whose pattern matches it; the files that none matches are counted."""
    assert isinstance(config.source, CsvSource)
    yield from read_mapped(landing, config.source.files, config)


def read_mapped(landing: LandingFolder, mappings: list[CsvFileMapping], config: Config) -> Iterator[Landed]:
    """As `read`, by the mappings given."""
    joins = _Joins(landing, mappings, config)
    unmatched = 0
    for path in landing.files:
        name = landing.name(path)
        mapping = next((one for one in mappings if fnmatch(name, one.pattern)), None)
        if mapping is None:
            unmatched += not any(fnmatch(name, join.pattern) for one in mappings for join in one.joins)
            continue
        counts = Counter[str]()
        try:
            for received in _read_text(path, _wanted(mapping, config), mapping):
                rows = _prepared(received, mapping, joins, counts)
                for table in canonical_rows(rows, name, mapping, landing.extract_date, config):
                    yield RowBatch(mapping.table, table)
            yield FilesRead((name,))
        except (UnfitFileError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            yield UnreadableFile(name, _reason(error))
        for what, rows_affected in sorted(counts.items()):
            yield LandingWarning(f"{landing.extract_date}: {name}: {rows_affected} rows {what}")
    yield from joins.reports
    if unmatched:
        yield LandingWarning(
            f"{landing.extract_date}: {unmatched} of {len(landing.files)} files match no pattern of "
            "[[source.files]] and were not read"
        )


def _wanted(mapping: CsvFileMapping, config: Config) -> set[str]:
    """The file's columns that the mapping may use, the keys of joins included."""
    keys = {name for join in mapping.joins for name in join.on}
    return wanted_columns(mapping, config) | keys | {join.between.time for join in mapping.joins if join.between}


def _prepared(received: Received, mapping: CsvFileMapping, joins: "_Joins", counts: Counter[str]) -> Received:
    """The rows that the mapping keeps, with what it joins to them; counts what a person should know."""
    for lookup in joins.lookups(mapping):
        received, unfound = with_joined(received, lookup, mapping, joins.config.workspace.timezone)
        if unfound:
            counts[f"have no row in {lookup.join.pattern} (join {lookup.join.name})"] += unfound
    kept = selected(received, mapping)
    if len(kept.numbers) < len(received.numbers):
        counts["were left out by keep and drop of [[source.files]]"] += len(received.numbers) - len(kept.numbers)
    return kept


class _Joins:
    """The files that mappings join to their own, each kind read once; `reports` says how that went."""

    def __init__(self, landing: LandingFolder, mappings: list[CsvFileMapping], config: Config) -> None:
        self.landing = landing
        self.mappings = mappings
        self.config = config
        self.reports: list[Landed] = []
        self._made: dict[int, list[Lookup]] = {}

    def lookups(self, mapping: CsvFileMapping) -> list[Lookup]:
        if id(mapping) not in self._made:
            self._made[id(mapping)] = [self._lookup(mapping, join) for join in mapping.joins]
        return self._made[id(mapping)]

    def _lookup(self, mapping: CsvFileMapping, join: JoinSection) -> Lookup:
        wanted = joined_columns(mapping, join)
        tables = list(self._tables(join, wanted))
        if not tables:
            self._report(LandingWarning(f"{self.landing.extract_date}: no file matches {join.pattern}, so the columns "
                                        f"of the join {join.name} are empty"))  # fmt: skip
        return make_lookup(join, wanted, tables, mapping, self.config.workspace.timezone)

    def _tables(self, join: JoinSection, wanted: set[str]) -> Iterator[pa.Table]:
        for path in self.landing.files:
            name = self.landing.name(path)
            if not fnmatch(name, join.pattern):
                continue
            try:
                for received in _read_text(path, wanted, join):
                    missing = sorted(wanted - set(received.header))
                    if missing:
                        raise UnfitFileError(
                            f"the column {missing[0]} (of the join {join.name}) is missing; the file has "
                            f"{', '.join(received.header)}: correct the file, or joins in [[source.files]]"
                        )
                    if received.unparsed:
                        self._report(LandingWarning(f"{self.landing.extract_date}: {name}: {len(received.unparsed)} "
                                                    "lines do not fit the header and were not joined"))  # fmt: skip
                    yield received.columns
                self._report(FilesRead((name,)))
            except (UnfitFileError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
                self._report(UnreadableFile(name, _reason(error)))

    def _report(self, report: FilesRead | UnreadableFile | LandingWarning) -> None:
        """Once, although several mappings may join the same file; one that is also a table of its own tells itself."""
        match report:
            case FilesRead(source_files):
                names = source_files
            case UnreadableFile(source_file):
                names = (source_file,)
            case LandingWarning():
                names = ()
        is_table = any(fnmatch(name, mapping.pattern) for name in names for mapping in self.mappings)
        if report not in self.reports and not is_table:
            self.reports.append(report)


def _reason(error: Exception) -> str:
    """Why a file gave no more rows, without any of its values: parsers quote what they trip over."""
    if isinstance(error, UnfitFileError):
        return str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "not UTF-8 text; export it as UTF-8"
    if "straddling" in str(error):
        return f"a row is longer than {_BLOCK_BYTES >> 20} MB; is a quote never closed?"
    return f"cannot be read as its name says ({type(error).__name__}); is it complete?"


def _read_text(path: Path, wanted: set[str], form: CsvFileMapping | JoinSection) -> Iterator[Received]:
    """Columns as text; at least one batch, so that a file with a header alone is held against the mapping."""
    plain = path.name.removesuffix(".gz").removesuffix(".zst")
    if path.name.endswith(".parquet"):
        yield from _read_parquet(path, wanted)
    elif plain.endswith(json_lines.SUFFIXES):
        yield from _read_json_lines(path, wanted)
    elif plain.endswith(_DELIMITED):
        yield from _read_delimited(path, wanted, form)
    else:
        raise UnfitFileError(
            f"neither {', '.join((*_DELIMITED, *json_lines.SUFFIXES))} (also .gz or .zst) nor .parquet; narrow the "
            "pattern or convert the file"
        )


def _read_json_lines(path: Path, wanted: set[str]) -> Iterator[Received]:
    """Objects as rows; the columns are the names that any object of the first batch has, and any wanted one later."""
    header: list[str] = []
    for batch in json_lines.read_json_lines(path, BATCH_ROWS // 4):
        rows = [(number, dict(json_lines.flattened(content))) for number, content, _ in batch if content is not None]
        names = list(dict.fromkeys(name for _, row in rows for name in row))
        header = header or names
        header += [name for name in names if name not in header]
        columns = {name: pa.array([row.get(name) for _, row in rows], pa.string()) for name in header if name in wanted}
        table = pa.table(columns) if columns else pa.table({"": pa.nulls(len(rows), pa.string())})
        numbers = np.array([number for number, _ in rows], dtype=np.int64)
        yield Received(header, table, numbers, [(number, text) for number, content, text in batch if content is None])


def _no_rows(header: list[str], wanted: set[str], unparsed: list[tuple[int, str]]) -> Received:
    columns = {name: pa.array([], pa.string()) for name in header if name in wanted}
    return Received(header, pa.table(columns), np.arange(0), unparsed)


def _read_parquet(path: Path, wanted: set[str]) -> Iterator[Received]:
    schema = pq.read_schema(path)
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        header = _unique(schema.names)
        yield _no_rows(header, wanted, [])
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=[name for name in header if name in wanted]):
            texts = pa.table({name: as_text(batch.column(name)) for name in batch.schema.names})
            yield Received(header, texts, np.arange(read + 1, read + batch.num_rows + 1), [])
            read += batch.num_rows


def _read_delimited(path: Path, wanted: set[str], form: CsvFileMapping | JoinSection) -> Iterator[Received]:
    header = _header(path, form)
    yield _no_rows(header, wanted, [])
    skipped: list[tuple[int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        # The parser counts the header as row 1.
        skipped.append((row.number - 1, row.text))
        return "skip"

    read, seen = 0, 0
    columns = [name for name in header if name in wanted]
    with Utf8Stream(path, form.encoding) as stream:
        reader = pa_csv.open_csv(
            pa.PythonFile(stream, "r"),
            read_options=_READ_OPTIONS,
            parse_options=_parse_options(form, skip),
            convert_options=pa_csv.ConvertOptions(
                include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True,
                null_values=[""], quoted_strings_can_be_null=True,
            ),
        )  # fmt: skip
        for batch in reader:
            lines, seen = skipped[seen:], len(skipped)
            numbers = np.arange(read + 1, read + batch.num_rows + len(lines) + 1)
            read += len(numbers)
            kept = np.delete(numbers, [number - numbers[0] for number, _ in lines])
            rows = pa.table(batch)
            yield _decoded(header, rows, kept, lines) if stream.replaced else Received(header, rows, kept, lines)
    if skipped[seen:]:
        yield _no_rows(header, wanted, skipped[seen:])


def _decoded(header: list[str], rows: pa.Table, numbers: np.ndarray, lines: list[tuple[int, str]]) -> Received:
    """A row with bytes that were not of the file's encoding becomes an unparsed line, and its neighbours stay rows."""
    broken = np.zeros(rows.num_rows, dtype=bool)
    for column in rows.columns:
        broken |= pc.fill_null(pc.match_substring(column, REPLACED), False).to_numpy()
    found = [
        (int(numbers[row]), ",".join(value or "" for value in rows.slice(row, 1).to_pylist()[0].values()))
        for row in np.flatnonzero(broken)
    ]
    return Received(header, rows.filter(pa.array(~broken)), numbers[~broken], sorted(lines + found))


def _header(path: Path, form: CsvFileMapping | JoinSection) -> list[str]:
    with Utf8Stream(path, form.encoding) as stream:
        reader = pa_csv.open_csv(
            pa.PythonFile(stream, "r"),
            read_options=_READ_OPTIONS,
            parse_options=_parse_options(form, lambda _: "skip"),
        )
        names = _unique(list(reader.schema.names))
    if any(REPLACED in name for name in names):
        raise UnfitFileError(f"its header is not {form.encoding.upper()} text; set encoding in [[source.files]]")
    return names


def _parse_options(form: CsvFileMapping | JoinSection, skip: Callable[[pa_csv.InvalidRow], str]) -> pa_csv.ParseOptions:
    return pa_csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True, delimiter=form.delimiter)


def _unique(names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UnfitFileError(f"the column {repeated[0]} appears twice; export the file with distinct column names")
    return names
