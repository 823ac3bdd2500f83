"""Raw rows through the contracts: admitted and quarantined partitions, and a report of counts."""

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from medlstm.config import Config
from medlstm.contracts import (
    Admission,
    ContractReport,
    QuarantineLimitExceeded,
    RuleOutcome,
    admit_observations,
    admit_stays,
)
from medlstm.errors import MedlstmError
from medlstm.lake import Workspace, partition_dates, partition_file, read_json, read_table, write_json, write_table
from medlstm.sources.offsets import resolve_offsets
from medlstm.suites import load_suite

_ADMIT = {"stays": admit_stays, "observations": admit_observations}


@dataclass(frozen=True)
class ValidationSummary:
    """The contract reports of one date."""

    extract_date: date
    reports: tuple[ContractReport, ...]


def dates_to_validate(workspace: Workspace, as_of: date) -> list[date]:
    """The date itself, and before it every ingested date with nothing admitted yet, oldest first."""
    admitted = set(partition_dates(workspace.admitted("observations")))
    waiting = [day for day in partition_dates(workspace.raw("observations")) if day < as_of and day not in admitted]
    return [*waiting, as_of]


def validate_date(workspace: Workspace, extract_date: date, config: Config) -> ValidationSummary:
    """Admit or quarantine the raw rows of a date; nothing is admitted unless every table may be.

    Raises ContractStopped (the quarantine is written first where too large a share failed), MedlstmError
    when the date was never ingested.
    """
    admissions: dict[str, Admission] = {}
    for table, admit in _ADMIT.items():
        path = partition_file(workspace.raw(table), extract_date)
        if not path.is_file():
            raise MedlstmError(f"{path}: no raw rows of {extract_date}; run `medlstm ingest --as-of {extract_date}`")
        suite = load_suite(table, config, workspace.root)
        try:
            admissions[table] = admit(_read_raw(workspace, table, extract_date, config), suite, config, extract_date)
        except QuarantineLimitExceeded as error:
            _write_quarantine(workspace, table, error.admission, extract_date)
            _write_reports(workspace, [*_reports(admissions), error.admission.report], extract_date)
            raise
    for table, admission in admissions.items():
        _write_quarantine(workspace, table, admission, extract_date)
        write_table(admission.admitted, partition_file(workspace.admitted(table), extract_date))
    reports = _reports(admissions)
    _write_reports(workspace, reports, extract_date)
    return ValidationSummary(extract_date, tuple(reports))


def _read_raw(workspace: Workspace, table: str, day: date, config: Config) -> pa.Table:
    raw = read_table(partition_file(workspace.raw(table), day))
    if table == "stays":
        return raw
    return resolve_offsets(raw, read_table(partition_file(workspace.raw("stays"), day)), config.workspace.timezone)


def _reports(admissions: dict[str, Admission]) -> list[ContractReport]:
    return [admission.report for admission in admissions.values()]


def _write_quarantine(workspace: Workspace, table: str, admission: Admission, day: date) -> None:
    write_table(admission.quarantined, partition_file(workspace.quarantine(table), day))


def _write_reports(workspace: Workspace, reports: list[ContractReport], day: date) -> None:
    write_json({"reports": [asdict(report) for report in reports]}, _report_file(workspace, day))


def _report_file(workspace: Workspace, day: date) -> Path:
    return workspace.report(day) / "contract.json"


def read_contract_reports(workspace: Workspace, day: date) -> tuple[ContractReport, ...]:
    """The contract reports of a date, none if it was never validated."""
    path = _report_file(workspace, day)
    if not path.is_file():
        return ()
    return tuple(
        ContractReport(**(raw | {"rules": tuple(RuleOutcome(**rule) for rule in raw["rules"])}))
        for raw in read_json(path)["reports"]
    )
