"""Rules that a person let through for one extract date, on record."""

from datetime import date
from pathlib import Path

from medlstm.lake.files import Workspace, read_json, write_json


def _file(workspace: Workspace, table: str, day: date) -> Path:
    return workspace.root / "lake" / "releases" / table / f"extract_date={day.isoformat()}.json"


def read_releases(workspace: Workspace, table: str, day: date) -> frozenset[str]:
    """The rules that quarantine no row of this date any more."""
    path = _file(workspace, table, day)
    return frozenset(read_json(path)["rules"]) if path.is_file() else frozenset()


def add_release(workspace: Workspace, table: str, day: date, rule: str) -> None:
    """Record a rule; validating the date again admits its rows."""
    write_json({"rules": sorted(read_releases(workspace, table, day) | {rule})}, _file(workspace, table, day))
