"""Landing folder to raw Parquet: every row as the text that was received, every file accounted for."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import chain

import pyarrow as pa

from medlstm.errors import MedlstmError
from medlstm.ingest.delivered_files import (
    Delivery,
    DeliveryPlan,
    delivered_dates,
    delivered_files,
    landing_dates,
    plan_delivery,
    read_delivery,
    write_delivery,
)
from medlstm.ingest.kept_references import KeptReferences, keep_references, reference_file
from medlstm.ingest.landed_rows import landed_rows
from medlstm.ingest.recalled_facts import remember
from medlstm.lake.audit_log import append_audit, this_process
from medlstm.lake.date_lock import date_lock
from medlstm.lake.dictionary_encoding import compacted, joined
from medlstm.lake.files import (
    ROW_GROUP_ROWS,
    StagedTables,
    Workspace,
    WrittenFile,
    partition_dates,
    partition_file,
    read_table,
    row_count,
    sha256_of,
    write_table,
)
from medlstm.lake.prefetch import mapped, prefetched
from medlstm.lake.schemas import OBSERVATION_CORE, TABLES, dictionary_schema, raw_columns, raw_schema
from medlstm.settings.workspace import Config
from medlstm.sources.source_batch import FilesRead, Landed, LandingWarning, LeftOut, RowBatch, UnreadableFile

FILES_SCHEMA = pa.schema(
    [pa.field("source_file", pa.string()), pa.field("reason", pa.string()), pa.field("extract_date", pa.date32())]
)
# Raw rows are read whole; of the other columns the contracts ask whether they are empty.
_UNSEARCHED = (*OBSERVATION_CORE, "source_file")


@dataclass(frozen=True)
class IngestSummary:
    """What one date's landing folder held: counts, the files that could not be read, warnings; `left_out`: by which
    choice of the configuration how many rows were left out."""

    extract_date: date
    files_read: int
    stays: int
    observations: int
    unreadable: tuple[UnreadableFile, ...]
    warnings: tuple[str, ...]
    left_out: dict[str, int]


def dates_to_ingest(workspace: Workspace, as_of: date) -> list[date]:
    """The date itself, and before it every landing folder newer than what was taken in last, oldest first; that last
    one too, where a kill came between its raw partitions and their record.

    Files that came late for older dates are part of the date itself; see `medlstm.ingest.delivered_files`.
    """
    newest = max(delivered_dates(workspace), default=date.min)
    torn = [newest] if newest < as_of and not _is_as_recorded(workspace, newest) else []
    return [*torn, *(day for day in landing_dates(workspace) if newest < day < as_of), as_of]


def _is_as_recorded(workspace: Workspace, day: date) -> bool:
    """Whether the raw and reference partitions that there are of a date are the bytes that its delivery names."""
    delivery = read_delivery(workspace, day)
    if delivery is None:
        return True
    paths = [(partition_file(workspace.raw(table), day), sha256) for table, sha256 in delivery.raw.items()]
    paths += [(reference_file(workspace, table, day), sha256) for table, sha256 in delivery.reference.items()]
    return all(sha256_of(path) == sha256 for path, sha256 in paths if path.is_file())


def ingest_date(
    workspace: Workspace, extract_date: date, config: Config, run: str | None = None, reopen: bool = False
) -> IngestSummary:
    """Read `landing/<extract_date>`, and files that came late for closed dates, and replace that date's raw
    partitions, holding one batch of rows at a time.

    A closed date is read from the files that its night read; where these are gone or changed, its raw partitions are
    left as they are, with a warning. `reopen` reads what is there now. `run` names the run in the audit log.
    Raises LandingError when there are neither files nor partitions.
    """
    with date_lock(workspace, "extract_date", extract_date):
        plan = _plan(workspace, extract_date, late=True, reopen=reopen)
        return _ingest_plan(workspace, _with_references(workspace, extract_date, plan, config), config, run)


@dataclass(frozen=True)
class PlannedDate:
    """What to read for one extract date, and what is kept of it for joins; None leaves its partitions as they are."""

    extract_date: date
    plan: DeliveryPlan | None
    kept: KeptReferences


def plan_dates(workspace: Workspace, days: Sequence[date], config: Config) -> tuple[PlannedDate, ...]:
    """The plans of several dates in ascending order, made before any of them is taken in, with what any of them
    may refer to: from then on they are independent, and may be taken in by any process in any order. What came late for
    closed dates goes with the last.
    """
    planned = []
    for day in days:
        plan = _plan(workspace, day, late=day == days[-1], reopen=False, beside=days)
        with date_lock(workspace, "extract_date", day):
            planned.append(_with_references(workspace, day, plan, config))
    return tuple(planned)


def _with_references(workspace: Workspace, day: date, plan: DeliveryPlan | None, config: Config) -> PlannedDate:
    """The date once what later dates may refer to is noted: rows for joins, and what the source itself remembers."""
    if plan is None:
        return PlannedDate(day, plan, KeptReferences())
    remember(workspace, plan, config)
    return PlannedDate(day, plan, keep_references(workspace, plan, config))


def ingest_planned(
    workspace: Workspace, planned: PlannedDate, config: Config, run: str | None = None
) -> IngestSummary:
    """Take in one planned date; see `ingest_date`."""
    with date_lock(workspace, "extract_date", planned.extract_date):
        return _ingest_plan(workspace, planned, config, run)


def ingest_dates(
    workspace: Workspace, days: Sequence[date], config: Config, run: str | None = None, workers: int = 2
) -> Iterator[IngestSummary]:
    """As `ingest_date` for each of several dates in ascending order, `workers` threads at a time."""
    yield from mapped(
        lambda planned: ingest_planned(workspace, planned, config, run), plan_dates(workspace, days, config), workers
    )


def _plan(
    workspace: Workspace, extract_date: date, late: bool, reopen: bool, beside: Sequence[date] = ()
) -> DeliveryPlan | None:
    """None where the raw partitions stay: the folder is gone, or its files are not what the date's night read."""
    gone = not workspace.landing(extract_date).is_dir()
    if gone and extract_date in partition_dates(workspace.raw(TABLES[-1])):
        return None
    return plan_delivery(workspace, extract_date, late, reopen, beside)


def _ingest_plan(workspace: Workspace, planned: PlannedDate, config: Config, run: str | None) -> IngestSummary:
    extract_date, plan = planned.extract_date, planned.plan
    if plan is None:
        return _kept(workspace, extract_date)
    with ThreadPoolExecutor(1) as pool:
        hashed = pool.submit(delivered_files, plan)
        landed = chain(planned.kept.reports, landed_rows(workspace, plan, config))
        summary, written = _write_raw(workspace, extract_date, landed, config)
        files = hashed.result()
    _write_unreadable(workspace, summary)
    sources = [one.source for one in files]
    append_audit(workspace, "ingest", extract_date, run or this_process(), [*planned.kept.written, *written], sources)
    delivery = Delivery(extract_date, files, _hashes(written), summary.left_out, _hashes(planned.kept.written))
    write_delivery(workspace, delivery)
    return summary


def _hashes(written: Sequence[WrittenFile]) -> dict[str, str]:
    """By the name of the table."""
    return {one.path.parents[1].name: one.sha256 for one in written}


def _write_unreadable(workspace: Workspace, summary: IngestSummary) -> None:
    extract_date = summary.extract_date
    files = [(file.source_file, file.reason, extract_date) for file in summary.unreadable]
    records = [dict(zip(FILES_SCHEMA.names, values, strict=True)) for values in files]
    path = partition_file(workspace.quarantine("files"), extract_date)
    write_table(pa.Table.from_pylist(records, schema=FILES_SCHEMA), path)


def _write_raw(
    workspace: Workspace, extract_date: date, landed: Iterator[Landed], config: Config
) -> tuple[IngestSummary, list[WrittenFile]]:
    """Stream batches into the raw partitions; they take the old ones' place when the last batch is written."""
    files_read = 0
    unreadable: list[UnreadableFile] = []
    warnings: list[str] = []
    left_out: dict[str, Counter[str]] = {table: Counter() for table in TABLES}
    with StagedTables() as staged:
        raw = {table: _RawWriter(staged, workspace, table, extract_date, config) for table in TABLES}
        # The next batch is read while one is compressed and written.
        for item in prefetched(landed, ahead=3):
            match item:
                case RowBatch(table, rows):
                    raw[table].add(rows)
                case FilesRead(source_files):
                    files_read += len(source_files)
                case UnreadableFile():
                    unreadable.append(item)
                case LeftOut(table, what, rows_left_out):
                    left_out[table][what] += rows_left_out
                case LandingWarning(message):
                    warnings.append(message)
        for writer in raw.values():
            writer.flush()
        # Observations last: their partition marks the date as taken in.
        written = staged.commit([raw[table].path for table in TABLES])
    for name, by_choice in left_out.items():
        if by_choice.total() and not raw[name].rows:
            warnings.append(f"{extract_date}: {name}: all {by_choice.total()} rows were left out "
                            f"({', '.join(sorted(by_choice))}); does the configuration mean that?")  # fmt: skip
    summary = IngestSummary(
        extract_date, files_read, raw["stays"].rows, raw["observations"].rows, tuple(unreadable), tuple(warnings),
        dict(sorted((left_out["stays"] + left_out["observations"]).items())),
    )  # fmt: skip
    return summary, written


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
        staged.open(self.path, self.schema, unsearched=_UNSEARCHED)

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
    note = f"{extract_date}: the landing folder is gone or has changed; the raw partitions of its night are used"
    delivery = read_delivery(workspace, extract_date)
    return IngestSummary(extract_date, 0, counts[0], counts[1], (), (note,), delivery.left_out if delivery else {})


def shown_name(source_file: str) -> str:
    """A file's name as people may see it: its digits, which can be the number of a stay, are hidden."""
    return re.sub(r"\d", "#", source_file)


def read_unreadable_files(workspace: Workspace, extract_date: date) -> tuple[tuple[str, str], ...]:
    """(shown name, reason) of each file of a date that could not be read; the table itself has the whole names."""
    path = partition_file(workspace.quarantine("files"), extract_date)
    if not path.is_file():
        return ()
    return tuple((shown_name(row["source_file"]), row["reason"]) for row in read_table(path).to_pylist())
