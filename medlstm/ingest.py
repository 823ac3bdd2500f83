"""Landing folder to raw Parquet: every row as the text that was received, every file accounted for."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from medlstm.config import Config
from medlstm.dictionaries import compacted, joined
from medlstm.errors import MedlstmError
from medlstm.lake import (
    ROW_GROUP_ROWS,
    StagedTables,
    Workspace,
    partition_dates,
    partition_file,
    read_table,
    row_count,
    sweep_temporaries,
    write_table,
)
from medlstm.locking import date_lock
from medlstm.prefetch import prefetched
from medlstm.sources.landed import FileRead, Landed, LandingWarning, RowBatch, UnreadableFile
from medlstm.sources.landing import list_landing, read_landing
from medlstm.tables import dictionary_schema, raw_columns, raw_schema

FILES_SCHEMA = pa.schema(
    [pa.field("source_file", pa.string()), pa.field("reason", pa.string()), pa.field("extract_date", pa.date32())]
)
TABLES = ("stays", "observations")


@dataclass(frozen=True)
class IngestSummary:
    """What one date's landing folder held: counts, the files that could not be read, warnings."""

    extract_date: date
    files_read: int
    stays: int
    observations: int
    unreadable: tuple[UnreadableFile, ...]
    warnings: tuple[str, ...]


def dates_to_ingest(workspace: Workspace, as_of: date) -> list[date]:
    """The date itself, and before it every landing folder that no night has taken in yet, oldest first."""
    done = set(partition_dates(workspace.raw(TABLES[-1])))
    missed = [day for day in _landing_dates(workspace) if day < as_of and day not in done]
    return [*missed, as_of]


def _landing_dates(workspace: Workspace) -> list[date]:
    folder = workspace.root / "landing"
    if not folder.is_dir():
        return []
    days = []
    for child in sorted(folder.iterdir()):
        try:
            days.append(date.fromisoformat(child.name))
        except ValueError:
            continue
    return days


def ingest_date(workspace: Workspace, extract_date: date, config: Config) -> IngestSummary:
    """Read `landing/<extract_date>` and replace that date's raw partitions, holding one batch of rows at a time.

    A date whose folder is gone but whose raw partitions exist (an old night run again) is left as it is.
    Raises LandingError when there is neither.
    """
    folder = workspace.landing(extract_date)
    if not folder.is_dir() and extract_date in partition_dates(workspace.raw(TABLES[-1])):
        return _kept(workspace, extract_date)
    landed = read_landing(list_landing(folder, extract_date), config)
    with date_lock(workspace, "extract_date", extract_date):
        summary = _write_raw(workspace, extract_date, landed, config)
        _write_unreadable(workspace, summary)
    return summary


def ingest_dates(
    workspace: Workspace, days: Sequence[date], config: Config, workers: int = 2
) -> Iterator[IngestSummary]:
    """As `ingest_date` for each date, in the order given, `workers` of them at a time: dates are independent."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[IngestSummary]] = deque()
        for day in days:
            waiting.append(pool.submit(ingest_date, workspace, day, config))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_unreadable(workspace: Workspace, summary: IngestSummary) -> None:
    extract_date = summary.extract_date
    files = [(file.source_file, file.reason, extract_date) for file in summary.unreadable]
    records = [dict(zip(FILES_SCHEMA.names, values, strict=True)) for values in files]
    write_table(pa.Table.from_pylist(records, schema=FILES_SCHEMA),
                partition_file(workspace.quarantine("files"), extract_date))  # fmt: skip


def _write_raw(workspace: Workspace, extract_date: date, landed: Iterator[Landed], config: Config) -> IngestSummary:
    """Stream batches into the raw partitions; they take the old ones' place when the last batch is written."""
    files_read = 0
    unreadable: list[UnreadableFile] = []
    warnings: list[str] = []
    with StagedTables() as staged:
        raw = {table: _RawWriter(staged, workspace, table, extract_date, config) for table in TABLES}
        # The next batch is read while one is compressed and written.
        for item in prefetched(landed):
            match item:
                case RowBatch(table, rows):
                    raw[table].add(rows)
                case FileRead():
                    files_read += 1
                case UnreadableFile():
                    unreadable.append(item)
                case LandingWarning(message):
                    warnings.append(message)
        for writer in raw.values():
            writer.flush()
        # Observations last: their partition marks the date as taken in.
        staged.commit([raw[table].path for table in TABLES])
    return IngestSummary(
        extract_date, files_read, raw["stays"].rows, raw["observations"].rows, tuple(unreadable), tuple(warnings)
    )


class _RawWriter:
    """One raw partition on its way: small batches are gathered into row groups of a useful size."""

    def __init__(
        self, staged: StagedTables, workspace: Workspace, table: str, extract_date: date, config: Config
    ) -> None:
        self.staged = staged
        self.path = partition_file(workspace.raw(table), extract_date)
        self.day = pa.scalar(extract_date, pa.date32())
        columns = raw_columns(table, config.features.numeric, config.features.categorical)
        self.schema = dictionary_schema(raw_schema(columns))
        self.rows = 0
        self._gathered: list[pa.Table] = []
        sweep_temporaries(self.path.parent)
        staged.open(self.path, self.schema)

    def add(self, rows: pa.Table) -> None:
        self._gathered.append(self._as_raw(rows))
        self.rows += rows.num_rows
        if sum(table.num_rows for table in self._gathered) >= ROW_GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._gathered:
            self.staged.write(self.path, compacted(joined(self._gathered)))
        self._gathered = []

    def _as_raw(self, batch: pa.Table) -> pa.Table:
        """The batch with all columns of the raw table, text as dictionaries: what a source does not fill is null."""
        unknown = set(batch.column_names) - set(self.schema.names)
        if unknown:
            raise MedlstmError(f"a source gives the column {min(unknown)}, which is no raw column")
        rows = batch.num_rows
        columns = [
            batch.column(field.name).cast(field.type)
            if field.name in batch.column_names
            else pa.nulls(rows, field.type)
            for field in self.schema
        ]
        columns[self.schema.names.index("extract_date")] = pa.repeat(self.day, rows)
        return pa.table(columns, schema=self.schema)


def _kept(workspace: Workspace, extract_date: date) -> IngestSummary:
    counts = [row_count(partition_file(workspace.raw(table), extract_date)) for table in TABLES]
    note = f"{extract_date}: the landing folder is gone; the raw partitions of its first night are used"
    return IngestSummary(extract_date, 0, counts[0], counts[1], (), (note,))


def read_unreadable_files(workspace: Workspace, extract_date: date) -> tuple[tuple[str, str], ...]:
    """(file, reason) of each file of a date that could not be read."""
    path = partition_file(workspace.quarantine("files"), extract_date)
    if not path.is_file():
        return ()
    return tuple((row["source_file"], row["reason"]) for row in read_table(path).to_pylist())
