"""Train, and let the gate decide."""

import logging
from datetime import date
from pathlib import Path
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from medlstm.lake.files import Workspace
from medlstm.registry.nightly_training import TrainSummary, train_night
from medlstm.settings.workspace import load_config
from medlstm.training.sizes import Sizes
from medlstm.training.train_loop import EpochLoss, epochs_done
from tasks.progress import report_progress

logger = logging.getLogger("medlstm.tasks")


@task(name="train", cache_policy=NO_CACHE)
def train(workspace: str, as_of: date) -> TrainSummary:
    """Train on the sequences of `as_of`; each epoch moves the progress artifact of the task run."""
    place = Workspace(Path(workspace))
    config = load_config(place.root)
    artifact = _start_progress(as_of)

    def on_epoch(loss: EpochLoss, sizes: Sizes) -> None:
        done, total = epochs_done(loss, sizes)
        logger.info("train %s: member %d epoch %d, training loss %.4f, validation loss %.4f", as_of, loss.member,
                    loss.epoch, loss.training_loss, loss.validation_loss)  # fmt: skip
        report_progress("train", done, total)
        if artifact:
            update_progress_artifact(artifact, progress=100 * done / total)

    summary = train_night(place, as_of, config, on_epoch)
    report_progress("train", 1, 1)
    if artifact:
        update_progress_artifact(artifact, progress=100.0)
    logger.info("train %s: %s", as_of, summary.note)
    return summary


def _start_progress(as_of: date) -> UUID | None:
    if TaskRunContext.get() is None:
        return None
    artifact = create_progress_artifact(
        progress=0.0, key="training", description=f"Epochs of the training as of {as_of}; early stopping may end it"
    )
    return artifact if isinstance(artifact, UUID) else None
