"""Model versions on disk and which of them is the champion on a date; safetensors and JSON only."""

import hashlib
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import safetensors.torch
from pydantic import BaseModel, ConfigDict

from medlstm.errors import MedlstmError
from medlstm.gradient import EpochLoss
from medlstm.intervals import Interval
from medlstm.lake import Workspace, read_json, write_bytes, write_json
from medlstm.locking import models_lock
from medlstm.models.ensemble import Ensemble
from medlstm.models.spec import ModelSpec
from medlstm.training import Evaluation, TrainedModel

_REGISTRY = "registry.json"


class ModelRecord(BaseModel):
    """One training that ended: how the model did, and whether the gate let it through."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    trained_as_of: date
    promoted: bool
    note: str
    spec: ModelSpec
    interval: Interval
    baseline_median_days: float
    parameters: int
    training_stays: int
    censored_stays: int
    validation: Evaluation
    test: Evaluation
    losses: tuple[EpochLoss, ...]


def save_model(workspace: Workspace, model: TrainedModel, as_of: date, promoted: bool, note: str) -> ModelRecord:
    """Write the weights, then the record, then list the version: a crash in between leaves no half model listed."""
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
        parameters=sum(parameter.numel() for parameter in fitted.network.parameters()),
        training_stays=fitted.training_stays,
        censored_stays=fitted.censored_stays,
        validation=model.validation,
        test=model.test,
        losses=fitted.losses,
    )
    folder = workspace.models / version
    write_bytes(weights, folder / "model.safetensors")
    write_json(_without_infinities(record), folder / "model.json")
    with models_lock(workspace):
        others = [listed for listed in _listed(workspace) if listed != version]
        write_json({"versions": [*others, version]}, workspace.models / _REGISTRY)
    return record


def load_records(workspace: Workspace, as_of: date) -> list[ModelRecord]:
    """The trainings that the night `as_of` may know of, oldest first; of one date in the order they ended."""
    records = [_read_record(workspace.models / version) for version in _listed(workspace)]
    known = [record for record in records if record.trained_as_of <= as_of]
    return sorted(known, key=lambda record: record.trained_as_of)


def champion(workspace: Workspace, as_of: date) -> ModelRecord | None:
    """The newest model up to `as_of` that the gate let through."""
    promoted = [record for record in load_records(workspace, as_of) if record.promoted]
    return promoted[-1] if promoted else None


def training_due(workspace: Workspace, as_of: date, retrain_every_days: int) -> bool:
    """Whether no training has ended within the last `retrain_every_days` days before `as_of`."""
    records = load_records(workspace, as_of)
    return not records or (as_of - records[-1].trained_as_of).days >= retrain_every_days


def load_network(workspace: Workspace, record: ModelRecord) -> Ensemble:
    """The network of a version with its weights, on the CPU; raises MedlstmError when the file was changed."""
    path = workspace.models / record.version / "model.safetensors"
    weights = path.read_bytes()
    if not record.version.endswith(hashlib.sha256(weights).hexdigest()[:8]):
        raise MedlstmError(f"{path}: not the weights that were saved as {record.version}; restore or retrain")
    network = Ensemble(record.spec)
    network.load_state_dict(safetensors.torch.load(weights))
    return network.eval()


def _listed(workspace: Workspace) -> list[str]:
    path = workspace.models / _REGISTRY
    return list(read_json(path)["versions"]) if path.is_file() else []


def _read_record(folder: Path) -> ModelRecord:
    raw = read_json(folder / "model.json")
    interval = raw["interval"]
    for bound, fill in (("lower_offset", float("-inf")), ("upper_offset", float("inf"))):
        if bound not in interval:
            continue
        interval[bound] = fill if interval[bound] is None else interval[bound]
    return ModelRecord.model_validate(raw)


def _without_infinities(record: ModelRecord) -> dict[str, Any]:
    """JSON has no infinity: a bound that too few stays could tell becomes null."""
    interval = asdict(record.interval)
    finite = {
        name: None if isinstance(value, float) and abs(value) == float("inf") else value
        for name, value in interval.items()
    }
    return record.model_dump(mode="json") | {"interval": finite}
