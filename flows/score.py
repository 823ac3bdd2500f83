"""Score the open stays of a date from its sequences."""

from datetime import date
from functools import partial

from prefect import flow

from flows.night_date import held_date, run_name
from medlstm.scoring.score_night import ScoreSummary
from tasks.score import score as score_task


@flow(name="score", flow_run_name=partial(run_name, "score"))
def score(workspace: str, as_of: date | None = None) -> ScoreSummary:
    """Sequences to predictions."""
    with held_date(workspace, as_of) as day:
        return score_task(workspace, day)
