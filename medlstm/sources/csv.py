"""Delimited, JSON Lines and Parquet files by a column mapping, plain or compressed, wide or long."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa

from medlstm.settings.source import CsvFileMapping, CsvSource, JoinSection
from medlstm.settings.workspace import Config
from medlstm.sources.asked_columns import AskedColumns, asked_by_mapping
from medlstm.sources.decimal_numbers import pointed_numbers
from medlstm.sources.joined_files import JoinedFiles
from medlstm.sources.joins import with_joined
from medlstm.sources.kept_rows import KeptRows, kept_tables
from medlstm.sources.left_out import without_left_out
from medlstm.sources.mapping import Received, canonical_rows
from medlstm.sources.part_folders import matches
from medlstm.sources.read_columns import read_columns, why_unreadable
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
    with closing(JoinedFiles(landing, mappings, config)) as joins:
        yield from _read_files(landing, mappings, config, joins)


def kept_rows(landing: LandingFolder, config: Config) -> Iterator[KeptRows | Landed]:
    """The rows of a date's files that joins keep (`keep_as`), batch by batch, and how reading them went."""
    assert isinstance(config.source, CsvSource)
    joins = JoinedFiles(landing, config.source.files, config)
    for table in kept_tables(config):
        for name, received in joins.tables(table.join, table.asked):
            yield KeptRows(table.name, table.rows(received, name))
    yield from joins.reports


def _read_files(
    landing: LandingFolder, mappings: list[CsvFileMapping], config: Config, joins: JoinedFiles
) -> Iterator[Landed]:
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
            yield UnreadableFile(name, why_unreadable(error))
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
    joins: JoinedFiles,
    counts: Counter[str],
    left_out: Counter[str],
) -> Received:
    """The rows that the mapping keeps, with what it joins to them; counts what a person should know, and what the
    mapping leaves out."""
    counts.update(received.counted)
    for lookup_of in joins.lookups(mapping):
        lookup = lookup_of(received)
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
