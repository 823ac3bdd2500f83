"""Write the night's page."""

from dataclasses import replace
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.lake.files import Workspace
from medlstm.report.content import NightReport
from medlstm.report.gather import write_report
from medlstm.settings.workspace import load_config
from tasks.retry import is_io_failure


@task(name="report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def report(workspace: str, as_of: date, status: str, warnings: list[str]) -> NightReport:
    """Write `reports/<as_of>/index.html` and return the aggregates that it shows, without the points of its plot."""
    place = Workspace(Path(workspace))
    return replace(write_report(place, as_of, load_config(place.root), status, warnings), pairs=())
