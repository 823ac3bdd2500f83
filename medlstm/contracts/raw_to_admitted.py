"""Raw rows through the contracts: admitted and quarantined partitions, and a report of counts."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from medlstm.contracts.admission_times import admissions_of, no_admissions
from medlstm.contracts.check_rows import Judged, TableContract, judge
from medlstm.contracts.data_docs import write_data_docs
from medlstm.contracts.raw_chunks import RawPartition, raw_chunks
from medlstm.contracts.results import (
    ContractReport,
    DateCount,
    RuleOutcome,
    stop_above_limit,
    stop_if_told,
)
from medlstm.contracts.suites import judges_whole_table
from medlstm.contracts.typed_columns import Admissions
from medlstm.contracts.validation_groups import (
    counts_from_admission,
    raw_partition,
    rows_per_chunk,
    table_contracts,
    validation_groups,
)
from medlstm.contracts.value_findings import value_findings
from medlstm.contracts.volume_and_freshness import FeedFinding, feed_findings
from medlstm.contracts.waivers import read_releases
from medlstm.errors import ContractStopped, MedlstmError
from medlstm.ingest.delivered_files import read_delivery
from medlstm.lake.audit_log import append_audit, this_process
from medlstm.lake.date_lock import date_locks
from medlstm.lake.dictionary_encoding import compacted
from medlstm.lake.files import (
    StagedTables,
    Workspace,
    partition_dates,
    partition_file,
    read_json,
    table_schema,
    write_json,
)
from medlstm.lake.prefetch import mapped
from medlstm.lake.schemas import TABLES, dictionary_schema, quarantine_schema
from medlstm.settings.workspace import Config

# Of a date that is larger than a chunk, held beside the chunks that are judged and written.
_HELD_BYTES_PER_GB = 160_000_000


@dataclass(frozen=True)
class ValidationSummary:
    """The contract reports of one date."""

    extract_date: date
    reports: tuple[ContractReport, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the feeds of the date, for people."""
        return tuple(warning for report in self.reports for warning in report.warnings)


@dataclass(frozen=True)
class StoppedDate:
    """A date of which nothing was admitted, and why."""

    extract_date: date
    error: ContractStopped


def dates_to_validate(workspace: Workspace, as_of: date) -> list[date]:
    """The date itself, and before it every ingested date of which nothing, or something older, was admitted, oldest
    first."""
    admitted = set(partition_dates(workspace.admitted("observations")))
    waiting = [
        day
        for day in partition_dates(workspace.raw("observations"))
        if day < as_of and (day not in admitted or _is_outdated(workspace, day))
    ]
    return [*waiting, as_of]


def _is_outdated(workspace: Workspace, day: date) -> bool:
    """Whether a kill kept the report of a date from being written, or its raw rows from being judged again after they
    were read again or a rule was released."""
    delivery, report = read_delivery(workspace, day), contract_report_file(workspace, day)
    if not report.is_file():
        return True
    judged = read_json(report)
    if judged.get("released") != {table: sorted(read_releases(workspace, table, day)) for table in TABLES}:
        return True
    return delivery is not None and judged["raw"] != delivery.raw


def validate_date(
    workspace: Workspace, extract_date: date, config: Config, run: str | None = None
) -> ValidationSummary:
    """Admit or quarantine the raw rows of a date; nothing is admitted unless every table may be.

    Raises ContractStopped (the quarantine is written first where too large a share failed), MedlstmError
    when the date was never ingested.
    """
    result = next(validate_dates(workspace, [extract_date], config, run))
    if isinstance(result, StoppedDate):
        raise result.error
    return result


def validate_dates(
    workspace: Workspace, days: list[date], config: Config, run: str | None = None
) -> Iterator[ValidationSummary | StoppedDate]:
    """As `validate_date` for each of several dates, in the order given; small dates share one validation. `run` names
    the run in the audit log.

    A date that its contract stops does not keep the others from being admitted. Raises ContractStopped where a check
    itself crashed.
    """
    contracts = table_contracts(workspace, config)
    for group in validation_groups(workspace, days, config):
        with date_locks(workspace, group), StagedTables() as staged:
            judging = _Run(workspace, group, config, staged, contracts, run or this_process())
            judging.judge_tables()
            for day in group:
                yield judging.settle(day)


class _Run:
    """A group of dates on its way through the contracts; nothing is in place before `settle`."""

    def __init__(
        self,
        workspace: Workspace,
        days: list[date],
        config: Config,
        staged: StagedTables,
        contracts: dict[str, TableContract],
        run: str,
    ) -> None:
        self.workspace = workspace
        self.run = run
        self.days = days
        self.config = config
        self.staged = staged
        self.contracts = contracts
        self.counts = {table: {day: DateCount() for day in days} for table in TABLES}
        self.released = {table: {day: read_releases(workspace, table, day) for day in days} for table in TABLES}

    def judge_tables(self) -> None:
        """Stage the admitted and quarantined rows of every date and table."""
        partitions = {table: [raw_partition(self.workspace, table, day) for day in self.days] for table in TABLES}
        for table in TABLES:
            self._require_whole_tables(self.contracts[table], partitions[table])
            for partition in partitions[table]:
                self._begin(self.contracts[table], partition)
        admissions = {"stays": no_admissions, "observations": self._admissions(partitions["observations"])}

        def judged(item: tuple[str, pa.Table]) -> tuple[str, Judged]:
            table, chunk = item
            return table, judge(self.contracts[table], chunk, admissions[table], self.released[table])

        # Two chunks are judged while the next is read, or the one before them is compressed and written.
        for table, one in mapped(judged, self._chunks(partitions)):
            for day, count in one.counts.items():
                self.counts[table][day].add(count)
                self.staged.write(self._admitted(table, day), compacted(one.admitted[day]))
                self.staged.write(self._quarantine(table, day), compacted(one.quarantined[day]))
        for table in TABLES:
            for day in self.days:
                self.staged.close(self._admitted(table, day))
                self.staged.close(self._quarantine(table, day))

    def _chunks(self, partitions: dict[str, list[RawPartition]]) -> Iterator[tuple[str, pa.Table]]:
        held_bytes = int(self.config.workspace.memory_limit_gb * _HELD_BYTES_PER_GB)
        for table in TABLES:
            for chunk in raw_chunks(partitions[table], rows_per_chunk(self.config), self.workspace.scratch, held_bytes):
                yield table, chunk

    def _require_whole_tables(self, contract: TableContract, partitions: list[RawPartition]) -> None:
        limit = rows_per_chunk(self.config)
        whole = [one for one in contract.suite.expectations if judges_whole_table(one)]
        if whole and any(partition.rows() > limit for partition in partitions):
            raise ContractStopped(
                f"{contract.table}: rule {whole[0].meta.rule} judges the whole table, and a date has more than {limit} "
                "rows; raise workspace.memory_limit_gb, or leave the rule out"
            )

    def _begin(self, contract: TableContract, partition: RawPartition) -> None:
        day, table = partition.extract_date, contract.table
        raw = table_schema(partition.path)
        for path, schema in (
            (self._admitted(table, day), dictionary_schema(contract.schema)),
            (self._quarantine(table, day), dictionary_schema(quarantine_schema(raw.names))),
        ):
            self.staged.open(path, schema, unsearched=("variable", "source_file"))

    def _admissions(self, partitions: list[RawPartition]) -> Admissions:
        if not any(counts_from_admission(one) for one in partitions):
            return no_admissions
        (day,) = self.days
        return admissions_of(self.workspace, day, self.config)

    def settle(self, day: date) -> ValidationSummary | StoppedDate:
        """Put the partitions of a date in place, unless its contract stops it."""
        found = {
            table: feed_findings(self.workspace, table, day, self.counts[table][day], self.config)
            + value_findings(table, day, self.counts[table][day], self.config)
            for table in TABLES
        }
        reports = tuple(
            self.counts[table][day].report(table, tuple(one.message for one in found[table])) for table in TABLES
        )
        try:
            for report in reports:
                self._check(report, found[report.table], reports, day)
        except ContractStopped as error:
            append_audit(self.workspace, "stop", day, self.run, detail={"reason": str(error)})
            return StoppedDate(day, error)
        written = self.staged.commit([self._quarantine(table, day) for table in TABLES])
        # Observations last: their partition marks the date as admitted.
        written += self.staged.commit([self._admitted(table, day) for table in TABLES])
        append_audit(self.workspace, "validate", day, self.run, written)
        self._write_reports(reports, day)
        return ValidationSummary(day, reports)

    def _check(
        self, report: ContractReport, found: tuple[FeedFinding, ...], reports: tuple[ContractReport, ...], day: date
    ) -> None:
        if report.rows_in != report.admitted + report.quarantined + report.exact_duplicates:
            raise MedlstmError(f"{report.table} {day}: rows in are not rows out: {report}")
        stop_if_told(report, day)
        for one in found:
            if one.action == "stop":
                raise ContractStopped(f"{one.message}; nothing of the date was admitted")
        try:
            stop_above_limit(report, self.config, day)
        except ContractStopped:
            self.staged.commit([self._quarantine(report.table, day)])
            self._write_reports(reports, day)
            raise

    def _write_reports(self, reports: tuple[ContractReport, ...], day: date) -> None:
        if self.config.contracts.data_docs:
            for report in reports:
                write_data_docs(self.workspace, self.contracts[report.table], report, day)
        delivery = read_delivery(self.workspace, day)
        path = contract_report_file(self.workspace, day)
        raw = delivery.raw if delivery else {}
        # Last of all: a date whose report is missing is judged again.
        released = {table: sorted(self.released[table][day]) for table in TABLES}
        write_json({"reports": [asdict(report) for report in reports], "raw": raw, "released": released}, path)

    def _admitted(self, table: str, day: date) -> Path:
        return partition_file(self.workspace.admitted(table), day)

    def _quarantine(self, table: str, day: date) -> Path:
        return partition_file(self.workspace.quarantine(table), day)


def contract_report_file(workspace: Workspace, day: date) -> Path:
    """Where the contract reports of a date are."""
    return workspace.report(day) / "contract.json"


def read_contract_reports(workspace: Workspace, day: date) -> tuple[ContractReport, ...]:
    """The contract reports of a date, none if it was never validated."""
    path = contract_report_file(workspace, day)
    if not path.is_file():
        return ()
    return tuple(
        ContractReport(
            **(raw | {"rules": tuple(RuleOutcome(**rule) for rule in raw["rules"]), "warnings": tuple(raw["warnings"])})
        )
        for raw in read_json(path)["reports"]
    )
