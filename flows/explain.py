"""What the gates of a date's champion do during one stay, in a picture."""

from datetime import date
from functools import partial
from pathlib import Path

from prefect import flow

from flows.night_date import held_date, run_name
from flows.steps import preprocess
from medlstm.lake.files import Workspace
from medlstm.report.lstm_gates import GateSummary
from medlstm.sequences.stay_sequences import stored_scope
from tasks.explain import explain_gates


@flow(name="explain", flow_run_name=partial(run_name, "explain"))
def explain(workspace: str, as_of: date | None = None) -> GateSummary:
    """The sequences of the date, built if they are not there, to reports/D/gates.svg."""
    with held_date(workspace, as_of) as day:
        if stored_scope(Workspace(Path(workspace)).sequences(day)) is None:
            preprocess(workspace, day, "open")
        return explain_gates(workspace, day)
