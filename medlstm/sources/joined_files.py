"""The files that mappings join to their own: those of the day's drop, and rows that earlier drops left in the lake."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from medlstm.settings.source import CsvFileMapping, JoinSection, with_kept
from medlstm.settings.workspace import Config
from medlstm.sources.asked_columns import AskedColumns, asked_by_join
from medlstm.sources.joins import Lookup, make_lookup, missing_joined
from medlstm.sources.kept_rows import KeptLookup
from medlstm.sources.mapping import Received
from medlstm.sources.part_folders import matches
from medlstm.sources.read_columns import read_columns, why_unreadable
from medlstm.sources.source_batch import FilesRead, KnownRows, Landed, LandingFolder, LandingWarning, UnreadableFile
from medlstm.values.text_columns import UnfitFileError

LookupOf = Callable[[Received], Lookup]


class JoinedFiles:
    """The files that mappings join to their own, each kind read once; `reports` says how that went."""

    def __init__(self, landing: LandingFolder, mappings: list[CsvFileMapping], config: Config) -> None:
        self.landing = landing
        self.mappings = mappings
        self.config = config
        self.reports: list[Landed] = []
        self._made: dict[int, list[LookupOf]] = {}
        self._kept: list[KeptLookup] = []

    def close(self) -> None:
        for one in self._kept:
            one.close()

    def lookups(self, mapping: CsvFileMapping) -> list[LookupOf]:
        """For each join of the mapping, what gives the rows to look among for some of its own."""
        if id(mapping) not in self._made:
            joins = [with_kept(join, self.mappings) for join in mapping.joins]
            self._made[id(mapping)] = [
                self._kept_lookup(mapping, join, self.landing.known)
                if join.keep_as and self.landing.known
                else self._lookup(mapping, join)
                for join in joins
            ]
        return self._made[id(mapping)]

    def _kept_lookup(self, mapping: CsvFileMapping, join: JoinSection, known: KnownRows) -> LookupOf:
        kept = KeptLookup(join, mapping, known, self.config)
        self._kept.append(kept)
        what = f"{self.landing.extract_date}: of what is kept as {join.keep_as}"
        if not kept.rows:
            self._report(LandingWarning(f"{what} no row is known yet; the columns of the join {join.name} are empty"))
        if kept.lacking:
            self._report(LandingWarning(f"{what} some dates lack {', '.join(kept.lacking)}, which was not mapped when "
                                        "they came; run them again (medlstm backfill)"))  # fmt: skip
        return kept.lookup

    def _lookup(self, mapping: CsvFileMapping, join: JoinSection) -> LookupOf:
        asked = asked_by_join(join, mapping, self.config)
        tables = [received.columns for _, received in self.tables(join, asked)]
        if not tables:
            self._report(LandingWarning(f"{self.landing.extract_date}: no file matches {join.pattern}, so the columns "
                                        f"of the join {join.name} are empty"))  # fmt: skip
        lookup = make_lookup(join, set(asked.names), tables, mapping, self.config.workspace.timezone)
        return lambda _: lookup

    def tables(self, join: JoinSection, asked: AskedColumns) -> Iterator[tuple[str, Received]]:
        """The rows of the files that a join names, with each file's name."""
        for path in self.landing.files:
            name = self.landing.name(path)
            if not matches(name, join.pattern):
                continue
            try:
                for received in read_columns(path, name, asked, join):
                    missing = sorted(asked.names - set(received.header))
                    if missing:
                        raise missing_joined(missing[0], join, received.header)
                    if received.unparsed:
                        self._report(LandingWarning(f"{self.landing.extract_date}: {name}: {len(received.unparsed)} "
                                                    "lines do not fit the header and were not joined"))  # fmt: skip
                    for what, rows in received.counted.items():
                        self._report(LandingWarning(f"{self.landing.extract_date}: {name}: {rows} rows {what}"))
                    yield name, received
                self._report(FilesRead((name,)))
            except (UnfitFileError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
                self._report(UnreadableFile(name, why_unreadable(error)))

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
