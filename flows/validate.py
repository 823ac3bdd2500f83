"""Hold the raw rows of a date against the contracts, and those of earlier dates that wait for it."""

from datetime import date
from functools import partial
from pathlib import Path

from prefect import flow

from flows.artifacts import publish_contracts
from flows.night_date import held_date, run_name
from flows.steps import validate as validate_step
from medlstm.contracts.raw_to_admitted import dates_to_validate
from medlstm.lake.files import Workspace
from tasks.validate import ValidationOutcome


@flow(name="validate", flow_run_name=partial(run_name, "validate"))
def validate(workspace: str, as_of: date | None = None) -> ValidationOutcome:
    """Raw to admitted and quarantined."""
    with held_date(workspace, as_of) as day:
        outcome = validate_step(workspace, dates_to_validate(Workspace(Path(workspace)), day))
    publish_contracts(outcome.summaries)
    return outcome
