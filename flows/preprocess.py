"""Build the sequences of all stays known at a date."""

from datetime import date
from functools import partial

from prefect import flow

from flows.night_date import held_date, run_name
from flows.steps import preprocess as preprocess_step
from medlstm.sequences.build import SequenceSummary


@flow(name="preprocess", flow_run_name=partial(run_name, "preprocess"))
def preprocess(workspace: str, as_of: date | None = None) -> SequenceSummary:
    """Admitted to sequences."""
    with held_date(workspace, as_of) as day:
        return preprocess_step(workspace, day, "all")
