"""Train on the sequences of a date, whether or not a training is due."""

from datetime import date
from functools import partial

from prefect import flow

from flows.night_date import held_date, run_name
from medlstm.registry.nightly_training import TrainSummary
from tasks.train import train as train_task


@flow(name="train", flow_run_name=partial(run_name, "train"))
def train(workspace: str, as_of: date | None = None) -> TrainSummary:
    """Sequences to a model version."""
    with held_date(workspace, as_of) as day:
        return train_task(workspace, day)
