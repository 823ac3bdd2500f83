"""What both accuracy benchmarks share: settings, models that went through their files, rows of results, printing."""

import hashlib
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medlstm.lake.files import Workspace
from medlstm.models.ensemble import Ensemble
from medlstm.registry.versions import load_network, save_model
from medlstm.sequences.nightly_points import NightlyPoints
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import Config, parse_config
from medlstm.training.fit_and_evaluate import judge_model
from medlstm.training.fit_ensemble import FittedModel

Scores = dict[str, float]


def settings(features: dict[str, Any], members: int | None, template: dict[str, Any] | None = None) -> Config:
    """The product's defaults for these features, or the model and training of a template, with so many members; but
    all stays are for training, validation and calibration: the test is other stays."""
    given = {name: dict((template or {}).get(name, {})) for name in ("model", "training")}
    given["model"] |= {} if members is None else {"members": members}
    raw = {"source": {"format": "physionet2012"}, "features": features, **given}
    config = parse_config(raw, {}, "benchmark")
    training = {"test_share": 0.0, "min_stays": 10}
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def saved_and_loaded(fitted: FittedModel, test: StaySequences, points: NightlyPoints) -> Ensemble:
    """The network as a night would score with it: written by `save_model`, which asks it the test points again, and
    read from its folder."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        judged = judge_model(fitted, test, points)
        record = save_model(workspace, judged, date(2026, 1, 1), promoted=True, note="benchmark")
        return load_network(workspace, record)


def assign_inner_splits(ids: pd.Series, config: Config) -> np.ndarray:
    """Calibration, validation and train by the order of a hash, at least one stay in each, however few there are."""
    order = np.argsort([hashlib.sha256(f"inner:{one}".encode()).hexdigest() for one in ids], kind="stable")
    training = config.training
    calibration = max(1, round(training.calibration_share * len(ids)))
    validation = max(1, round(training.validation_share * len(ids)))
    split = np.full(len(ids), "train", dtype=object)
    split[order[:calibration]] = "calibration"
    split[order[calibration : calibration + validation]] = "validation"
    return split


def named(config: Config, name: str) -> Config:
    """The same configuration for another model."""
    return config.model_copy(update={"model": config.model.model_copy(update={"name": name})})


def with_spread(whole: Scores, members: list[Scores]) -> Scores:
    """The ensemble's scores; beside each the standard deviation over its single seeds, and their mean."""
    row = dict(whole)
    for name in whole:
        single = np.array([scores[name] for scores in members if name in scores], dtype=np.float64)
        if len(single):
            row[f"{name}_sd"] = float(single.std(ddof=1)) if len(single) > 1 else 0.0
            row[f"{name}_one_seed"] = float(single.mean())
    return row


def show(result: dict[str, Any], columns: list[str]) -> None:
    """A table of the models on standard output."""
    print("model".ljust(16) + "".join(column.rjust(19) for column in columns))
    for name, row in result.items():
        if isinstance(row, dict) and columns[0] in row:
            cells = [_cell(row, column) for column in columns]
            print(name.ljust(16) + "".join(cell.rjust(19) for cell in cells))


def show_subgroups(subgroups: list[dict[str, Any]]) -> None:
    """A line a group on standard output."""
    for one in subgroups:
        group = f"{one['attribute']}: {one['group']}".ljust(45)
        print(f"{group}{one['stays']:5d} stays, MAE {one['mae_days']:.2f} days, coverage {one['coverage']:.1%}")


def _cell(row: dict[str, Any], column: str) -> str:
    value, spread = row.get(column), row.get(f"{column}_sd")
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.4f}" + (f" ±{spread:.4f}" if spread else "")
