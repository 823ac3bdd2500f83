"""A date's first two steps over files, for the tests of sources and contracts."""

from datetime import date
from pathlib import Path

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.ingest.landing_to_raw import IngestSummary, ingest_date
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.settings.workspace import Config


def take_in(root: Path, day: date, config: Config) -> IngestSummary:
    return ingest_date(Workspace(root), day, config)


def raw(root: Path, table: str, day: date) -> list[dict]:
    return read_table(partition_file(Workspace(root).raw(table), day)).to_pylist()


def take_in_and_validate(root: Path, day: date, config: Config) -> dict:
    """The contract reports by table."""
    take_in(root, day, config)
    return {report.table: report for report in validate_date(Workspace(root), day, config).reports}


def admitted(root: Path, table: str, day: date) -> list[dict]:
    return read_table(partition_file(Workspace(root).admitted(table), day)).to_pylist()


def quarantined(root: Path, table: str, day: date) -> list[dict]:
    return read_table(partition_file(Workspace(root).quarantine(table), day)).to_pylist()
