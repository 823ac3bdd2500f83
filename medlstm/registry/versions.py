"""Model versions on disk and which of them is the champion on a date; safetensors and JSON only."""

import hashlib
from datetime import date

import numpy as np
import safetensors.torch
import torch

from medlstm.errors import MedlstmError
from medlstm.lake.date_lock import models_lock
from medlstm.lake.files import Workspace, remove, write_bytes
from medlstm.models.ensemble import Ensemble
from medlstm.models.predict import Predictions, predict
from medlstm.registry.promises import Promise
from medlstm.registry.records import (
    ModelRecord,
    UnusableModel,
    list_version,
    listed_models,
    read_record,
    write_record,
)
from medlstm.sequences.batches import arrange
from medlstm.sequences.cohort import Scope
from medlstm.training.fit_and_evaluate import TrainedModel


def save_model(
    workspace: Workspace, model: TrainedModel, as_of: date, promoted: bool, note: str, promise: Promise | None = None
) -> ModelRecord:
    """Write the weights, then the record, ask the model that they make the test points again, and list the version: a
    crash in between leaves no half model listed.

    Raises MedlstmError, and lists nothing, when the saved model does not answer as the trained one, bit for bit.
    """
    fitted = model.fitted
    weights = safetensors.torch.save(fitted.network.state_dict())
    version = f"{as_of.isoformat()}-{hashlib.sha256(weights).hexdigest()[:8]}"
    record = ModelRecord(
        version=version,
        trained_as_of=as_of,
        promoted=promoted,
        note=note,
        spec=fitted.spec,
        interval=fitted.interval,
        baseline_median_days=fitted.baseline_median_days,
        baseline=fitted.baseline,
        parameters=sum(parameter.numel() for parameter in fitted.network.parameters()),
        training_stays=fitted.training_stays,
        censored_stays=fitted.censored_stays,
        validation=model.validation,
        test=model.test,
        losses=fitted.losses,
        leaks=model.leaks,
        promise=promise,
    )
    folder = workspace.models / version
    write_bytes(weights, folder / "model.safetensors")
    write_record(record, workspace)
    try:
        _require_same_answers(workspace, version, model)
    except MedlstmError:
        remove(folder / "model.json")
        remove(folder / "model.safetensors")
        raise
    with models_lock(workspace):
        list_version(workspace, version)
    return record


def _require_same_answers(workspace: Workspace, version: str, model: TrainedModel) -> None:
    """What was saved, read from its folder as a night reads it, against the model in memory, both on the CPU."""
    record = read_record(workspace, version)
    stays = arrange(model.test_stays, record.spec)
    mine = model.test_answers
    theirs = predict(load_network(workspace, record), stays, model.test_points, torch.device("cpu"))
    different = _different_answers(mine, theirs)
    if different.any():
        furthest = float(np.abs(mine.days - theirs.days).max())
        raise MedlstmError(
            f"{version}: the saved model answers otherwise than the trained one at {int(different.sum())} of "
            f"{len(different)} test points, by up to {furthest:.3g} days; it was not registered. This is a fault of "
            "medlstm or of the disk: train again, and report it if it happens twice"
        )
    if record.interval != model.fitted.interval or record.baseline != model.fitted.baseline:
        raise MedlstmError(f"{version}: the saved bounds or baseline are not the trained ones; it was not registered")


def _different_answers(mine: Predictions, theirs: Predictions) -> np.ndarray:
    """The points [m] at which two models do not say the very same."""
    different = mine.days != theirs.days
    for one, other in ((mine.mortality, theirs.mortality), (_survival(mine), _survival(theirs))):
        if (one is None) != (other is None):
            return np.ones_like(different)
        if one is not None and other is not None:
            different |= (one != other).reshape(len(one), -1).any(axis=1)
    return different


def _survival(predictions: Predictions) -> np.ndarray | None:
    return predictions.remaining.survival if predictions.remaining is not None else None


def load_records(workspace: Workspace, as_of: date) -> list[ModelRecord]:
    """The trainings that the night `as_of` may know of, oldest first; of one date in the order they ended.

    Those that cannot be used (`unusable_models`) are left out, so that a training is due in their place.
    """
    records, _ = listed_models(workspace)
    return sorted((record for record in records if record.trained_as_of <= as_of), key=lambda one: one.trained_as_of)


def unusable_models(workspace: Workspace) -> list[UnusableModel]:
    """The listed versions that no night uses: of an earlier medlstm, damaged, or changed since."""
    return listed_models(workspace)[1]


def damaged_models(workspace: Workspace) -> list[UnusableModel]:
    """The listed versions that no night can use, those whose weights were changed among them: reads every file."""
    records, unusable = listed_models(workspace)
    changed = []
    for record in records:
        try:
            load_network(workspace, record)
        except (MedlstmError, OSError) as error:
            changed.append(UnusableModel(record.version, str(error)))
    return [*unusable, *changed]


def champion(workspace: Workspace, as_of: date) -> ModelRecord | None:
    """The newest model up to `as_of` that the gate let through."""
    promoted = [record for record in load_records(workspace, as_of) if record.promoted]
    return promoted[-1] if promoted else None


def training_due(workspace: Workspace, as_of: date, retrain_every_days: int) -> bool:
    """Whether no training has ended within the last `retrain_every_days` days before `as_of`."""
    records = load_records(workspace, as_of)
    return not records or (as_of - records[-1].trained_as_of).days >= retrain_every_days


def night_scope(workspace: Workspace, as_of: date, retrain_every_days: int) -> Scope:
    """Which stays the night's sequences are built of: all where it trains, and where it has trained, so that a night
    that is run again builds, counts and shows what it did."""
    has_trained = any(record.trained_as_of == as_of for record in load_records(workspace, as_of))
    return "all" if has_trained or training_due(workspace, as_of, retrain_every_days) else "open"


def load_network(workspace: Workspace, record: ModelRecord) -> Ensemble:
    """The network of a version with its weights, on the CPU; raises MedlstmError when the file was changed."""
    path = workspace.models / record.version / "model.safetensors"
    weights = path.read_bytes()
    if not record.version.endswith(hashlib.sha256(weights).hexdigest()[:8]):
        raise MedlstmError(f"{path}: not the weights that were saved as {record.version}; restore or retrain")
    network = Ensemble(record.spec)
    try:
        network.load_state_dict(safetensors.torch.load(weights))
    except RuntimeError as error:
        raise MedlstmError(
            f"{path}: its arrays are not those of a {record.spec.name} of this version of medlstm; retrain"
        ) from error
    return network.eval()
