"""Write the page of a night again from the lake."""

from datetime import date
from functools import partial

from prefect import flow

from flows.artifacts import publish_night
from flows.night_date import resolve_as_of, run_name
from medlstm.report import NightReport
from tasks.report import report as report_task


@flow(name="report", flow_run_name=partial(run_name, "report"))
def report(workspace: str, as_of: date | None = None) -> NightReport:
    """Predictions to a page."""
    night = report_task(workspace, resolve_as_of(workspace, as_of), "done", [])
    publish_night(night)
    return night
