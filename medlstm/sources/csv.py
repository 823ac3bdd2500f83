"""Delimited, JSON Lines and Parquet files by a column mapping, plain or compressed, wide or long."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from medlstm.settings.source import CsvFileMapping, CsvSource, JoinSection
from medlstm.settings.workspace import Config
from medlstm.sources.asked_columns import AskedColumns, asked_by_join, asked_by_mapping
from medlstm.sources.decimal_numbers import pointed_numbers
from medlstm.sources.delimited import BLOCK_BYTES
from medlstm.sources.joins import Lookup, make_lookup, with_joined
from medlstm.sources.left_out import without_left_out
from medlstm.sources.mapping import Received, canonical_rows
from medlstm.sources.part_folders import matches
from medlstm.sources.read_columns import read_columns
from medlstm.sources.source_batch import (
    FilesRead,
    Landed,
    LandingFolder,
    LandingWarning,
    LeftOut,
    RowBatch,
    UnreadableFile,
)
from medlstm.values.text_columns import UnfitFileError


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
        mapping = next((one for one in mappings if matches(name, one.pattern)), None)
        if mapping is None:
            unmatched += not any(matches(name, join.pattern) for one in mappings for join in one.joins)
            continue
        counts, left_out = Counter[str](), Counter[str]()
        asked = asked_by_mapping(mapping, config)
        try:
            for received in read_columns(path, name, asked, mapping):
                rows = _prepared(received, mapping, asked, joins, counts, left_out)
                for table in canonical_rows(rows, name, mapping, landing.extract_date, config):
                    yield RowBatch(mapping.table, table)
            yield FilesRead((name,))
        except (UnfitFileError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            yield UnreadableFile(name, _reason(error))
        for what, rows_affected in sorted(counts.items()):
            yield LandingWarning(f"{landing.extract_date}: {name}: {rows_affected} rows {what}")
        for what, rows_affected in sorted(left_out.items()):
            yield LeftOut(mapping.table, f"{mapping.pattern}: {what}", rows_affected)
    yield from joins.reports
    if unmatched:
        yield LandingWarning(
            f"{landing.extract_date}: {unmatched} of {len(landing.files)} files match no pattern of "
            "[[source.files]] and were not read"
        )


def _prepared(
    received: Received,
    mapping: CsvFileMapping,
    asked: AskedColumns,
    joins: "_Joins",
    counts: Counter[str],
    left_out: Counter[str],
) -> Received:
    """The rows that the mapping keeps, with what it joins to them; counts what a person should know, and what the
    mapping leaves out."""
    counts.update(received.counted)
    for lookup in joins.lookups(mapping):
        join = lookup.join
        joined = with_joined(received, lookup, mapping, joins.config.workspace.timezone)
        received, unfound = joined.rows, int((~joined.found).sum())
        if _names_the_stay(join, mapping) and joined.not_kept.any():
            # What the join finds among all rows, but not among those that it keeps, belongs to no stay by choice.
            not_kept = int(joined.not_kept.sum())
            left_out[f"of no stay that the join {join.name} keeps"] += not_kept
            received, unfound = received.take(pa.array(~joined.not_kept)), unfound - not_kept
        # Rows that a join in time finds no stay for are told of as those that belong to none.
        if unfound and not (join.between and mapping.without_stay == "leave_out"):
            counts[f"have no row in {join.pattern} (join {join.name})"] += unfound
    kept, by_setting = without_left_out(received, mapping)
    left_out.update(by_setting)
    pointed = pointed_numbers(kept.columns, asked.comma_numbers)
    if pointed:
        counts["have a number with a decimal point, though decimal_comma says that numbers have a comma"] += pointed
    return kept


def _names_the_stay(join: JoinSection, mapping: CsvFileMapping) -> bool:
    """Whether a row is of the stay that the join finds, or of none."""
    return mapping.columns.get("stay_id", "").startswith(f"{join.name}.") and "stay_id" not in mapping.fallbacks


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
        asked = asked_by_join(join, mapping, self.config)
        tables = list(self._tables(join, asked))
        if not tables:
            self._report(LandingWarning(f"{self.landing.extract_date}: no file matches {join.pattern}, so the columns "
                                        f"of the join {join.name} are empty"))  # fmt: skip
        return make_lookup(join, set(asked.names), tables, mapping, self.config.workspace.timezone)

    def _tables(self, join: JoinSection, asked: AskedColumns) -> Iterator[pa.Table]:
        for path in self.landing.files:
            name = self.landing.name(path)
            if not matches(name, join.pattern):
                continue
            try:
                for received in read_columns(path, name, asked, join):
                    missing = sorted(asked.names - set(received.header))
                    if missing:
                        raise UnfitFileError(
                            f"the column {missing[0]} (of the join {join.name}) is missing; the file has "
                            f"{', '.join(received.header)}: correct the file, or joins in [[source.files]]"
                        )
                    if received.unparsed:
                        self._report(LandingWarning(f"{self.landing.extract_date}: {name}: {len(received.unparsed)} "
                                                    "lines do not fit the header and were not joined"))  # fmt: skip
                    for what, rows in received.counted.items():
                        self._report(LandingWarning(f"{self.landing.extract_date}: {name}: {rows} rows {what}"))
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
        is_table = any(matches(name, mapping.pattern) for name in names for mapping in self.mappings)
        if report not in self.reports and not is_table:
            self.reports.append(report)


def _reason(error: Exception) -> str:
    """Why a file gave no more rows, without any of its values: parsers quote what they trip over."""
    if isinstance(error, UnfitFileError):
        return str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "not UTF-8 text; export it as UTF-8"
    if "straddling" in str(error):
        return f"a row is longer than {BLOCK_BYTES >> 20} MB; is a quote never closed?"
    return f"cannot be read as its name says ({type(error).__name__}); is it complete?"
