"""What the gates of a date's champion do during one stay, in a picture."""

from datetime import date
from functools import partial
from pathlib import Path

from prefect import flow

from flows.execution import preprocess
from flows.night_date import held_date, run_name
from medlstm.explain_gates import GateSummary
from medlstm.lake import Workspace
from medlstm.sequences import stored_scope
from tasks.explain import explain_gates


@flow(name="explain", flow_run_name=partial(run_name, "explain"))
def explain(workspace: str, as_of: date | None = None) -> GateSummary:
    """The sequences of the date, built if they are not there, to reports/D/gates.svg."""
    with held_date(workspace, as_of) as day:
        if stored_scope(Workspace(Path(workspace)).sequences(day)) is None:
            preprocess(workspace, day, "open")
        return explain_gates(workspace, day)
