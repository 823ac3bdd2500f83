"""Take the landing folder of a date in, and those of earlier dates that no night has taken in."""

from datetime import date
from functools import partial
from pathlib import Path

from prefect import flow

from flows.night_date import held_date, run_name
from flows.steps import ingest as ingest_step
from medlstm.ingest.landing_to_raw import IngestSummary, dates_to_ingest
from medlstm.lake.files import Workspace


@flow(name="ingest", flow_run_name=partial(run_name, "ingest"))
def ingest(workspace: str, as_of: date | None = None) -> list[IngestSummary]:
    """Landing to raw."""
    with held_date(workspace, as_of) as day:
        return ingest_step(workspace, dates_to_ingest(Workspace(Path(workspace)), day))
