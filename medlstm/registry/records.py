"""The records of the models that were registered, and which of them cannot be used."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from medlstm.errors import MedlstmError
from medlstm.evaluation.baseline import KaplanMeierBaseline
from medlstm.evaluation.conformal_intervals import Interval
from medlstm.lake.files import Workspace, sha256_of, write_json
from medlstm.models.spec import ModelSpec
from medlstm.registry.promises import Promise
from medlstm.training.fit_and_evaluate import Evaluation
from medlstm.training.leak_finder import Leak
from medlstm.training.train_loop import EpochLoss

_REGISTRY = "registry.json"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{8}")
_LOST_ORDER = "written by an earlier version of medlstm, which did not keep the order of its categories"


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
    baseline: KaplanMeierBaseline | None = None
    parameters: int
    training_stays: int
    censored_stays: int
    validation: Evaluation
    test: Evaluation
    losses: tuple[EpochLoss, ...]
    leaks: tuple[Leak, ...] = ()
    promise: Promise | None = None

    @property
    def promised_mae_days(self) -> float | None:
        """The error that is promised of nights to come: that of the last weeks' nights, and where these were too few
        that of the test stays; None in records of earlier versions."""
        return self.promise.mae_days if self.promise else self.test.promised_mae_days


@dataclass(frozen=True)
class UnusableModel:
    """A listed version that no night uses; `why` is a clause."""

    version: str
    why: str


def record_path(workspace: Workspace, version: str) -> Path:
    """Where the record of a version lies."""
    return workspace.models / version / "model.json"


def write_record(record: ModelRecord, workspace: Workspace) -> None:
    """Put the record beside its weights."""
    write_json(_without_infinities(record), record_path(workspace, record.version))


def list_version(workspace: Workspace, version: str) -> None:
    """Add a version to those that nights may use, with the hash of its record: whatever is changed in it later is
    seen. The caller holds the lock of the models."""
    registry = _registry(workspace)
    others = [listed for listed in registry["versions"] if listed != version]
    hashes = registry["records"] | {version: sha256_of(record_path(workspace, version))}
    write_json({"versions": [*others, version], "records": hashes}, workspace.models / _REGISTRY)


def listed_models(workspace: Workspace) -> tuple[list[ModelRecord], list[UnusableModel]]:
    """The registered models in the order in which they were, and those of them that cannot be used.

    Raises MedlstmError where the list itself cannot be read.
    """
    registry = _registry(workspace)
    records, unusable = [], []
    for version in registry["versions"]:
        try:
            records.append(_checked_record(workspace, version, registry["records"].get(version)))
        except MedlstmError as error:
            unusable.append(UnusableModel(version, str(error)))
    return records, unusable


def read_record(workspace: Workspace, version: str) -> ModelRecord:
    """The record of a version as it is in its folder; for what is none raises MedlstmError, which says why in a clause.
    """
    raw = _raw_record(record_path(workspace, version))
    categories = raw.get("spec", {}).get("categories")
    # Written when categories were a JSON object, whose keys were sorted: the order is only known of one at most.
    if isinstance(categories, dict) and len(categories) > 1:
        raise MedlstmError(_LOST_ORDER)
    interval = raw.get("interval", {})
    for bound, fill in (("lower_offset", float("-inf")), ("upper_offset", float("inf"))):
        if bound in interval:
            interval[bound] = fill if interval[bound] is None else interval[bound]
    try:
        return ModelRecord.model_validate(raw)
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, one["loc"])) for one in error.errors()[:3])
        raise MedlstmError(f"its model.json is not one of this version of medlstm (look at: {keys})") from error


def _checked_record(workspace: Workspace, version: str, expected_sha256: str | None) -> ModelRecord:
    if not _VERSION.fullmatch(version):
        raise MedlstmError("that is not the name of a version")
    path = record_path(workspace, version)
    if not path.is_file():
        raise MedlstmError("its model.json is missing")
    if expected_sha256 and sha256_of(path) != expected_sha256:
        raise MedlstmError("its model.json was changed after it was registered")
    return read_record(workspace, version)


def _registry(workspace: Workspace) -> dict[str, Any]:
    """Versions in the order of their registration, and by version the hash of its record, which earlier versions of
    medlstm did not keep."""
    path = workspace.models / _REGISTRY
    if not path.is_file():
        return {"versions": [], "records": {}}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"versions": [str(one) for one in content["versions"]], "records": dict(content.get("records", {}))}
    except (ValueError, KeyError, TypeError) as error:
        raise MedlstmError(
            f"{path}: no list of versions can be read from it; restore it from a backup, or move it away: the next "
            "night trains anew"
        ) from error


def _raw_record(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MedlstmError("its model.json is no JSON") from error
    if not isinstance(raw, dict):
        raise MedlstmError("its model.json is no JSON object")
    return raw


def _without_infinities(record: ModelRecord) -> dict[str, Any]:
    """JSON has no infinity: a bound that too few stays could tell becomes null."""
    interval = asdict(record.interval)
    finite = {
        name: None if isinstance(value, float) and abs(value) == float("inf") else value
        for name, value in interval.items()
    }
    return record.model_dump(mode="json") | {"interval": finite}
