"""Write the page of a night again from the lake."""

from datetime import date
from functools import partial

from prefect import flow

from flows.artifacts import publish_night
from flows.night_date import held_date, run_name
from medlstm.report.content import NightReport
from tasks.report import report as report_task


@flow(name="report", flow_run_name=partial(run_name, "report"))
def report(workspace: str, as_of: date | None = None) -> NightReport:
    """Predictions to a page."""
    with held_date(workspace, as_of) as day:
        night = report_task(workspace, day, "done", [])
    publish_night(night)
    return night
