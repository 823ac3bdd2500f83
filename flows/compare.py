"""Every model and baseline on the same split of a date's stays, in one table and one plot."""

from dataclasses import asdict
from datetime import date
from functools import partial

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.night_date import held_date, run_name
from flows.steps import preprocess
from medlstm.training.compare_models import Comparison
from medlstm.values.plain_data import plain
from tasks.compare import compare as compare_task


@flow(name="compare", flow_run_name=partial(run_name, "compare"))
def compare(workspace: str, as_of: date | None = None, names: list[str] | None = None) -> Comparison:
    """Sequences of all stays known at the date to a comparison; `names` picks models, all of them by default."""
    with held_date(workspace, as_of) as day:
        preprocess(workspace, day, "all")
        comparison = compare_task(workspace, day, names or [])
    rows = [plain(asdict(one)) for one in comparison.models]
    create_table_artifact(table=rows, key="comparison", description=f"Every model on the same stays, as of {day}")
    return comparison
