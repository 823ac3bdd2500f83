"""What the models of past nights had promised of their errors, beside what became of it."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import torch

from medlstm.evaluation.metrics import bootstrapped_mean
from medlstm.lake.files import Workspace
from medlstm.models.predict import predict
from medlstm.registry.records import ModelRecord
from medlstm.registry.versions import load_network
from medlstm.sequences.batches import arrange
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days, nightly_points
from medlstm.sequences.stay_sequences import StaySequences, load_sequences
from medlstm.settings.workspace import Config
from medlstm.training.known_points import split_of
from medlstm.training.validation_folds import window_count

_ELAPSED_ENDS_DAYS = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 28.0)
_DRAWS = 2000


def promise(
    workspace: Workspace,
    config: Config,
    stored: pd.DataFrame,
    records: dict[str, ModelRecord],
    truth: pd.DataFrame,
) -> dict[str, Any]:
    """What the scoring models' records promised, weighted by how much each scored, beside what was delivered.

    `ended`: the record's error on test stays that had ended by then, which are short ones. `promised`: open ones
    counted as the model expected of them. `unselected`: the same test stays at the same nights before the training, but
    with what became of the open ones later. `same_mix`: that, with its errors by days since admission weighted as the
    stored predictions are: who is in bed later has been there longer. `to_promised_patients`: what was
    delivered to those whom the promises are made of.
    """
    models = []
    for version, rows in stored.groupby("model_version").indices.items():
        record, scored = records[str(version)], stored.iloc[rows]
        errors = (scored["remaining_los_days"] - scored["actual_days"]).abs().to_numpy()
        models.append(
            {
                "version": str(version), "trained_as_of": record.trained_as_of.isoformat(),
                "predictions": len(rows), "test_stays": record.test.stays,
                "ended_mae_days": record.test.mae_days, "promised_mae_days": record.promised_mae_days,
                "promised_bounds_days": record.promise.bounds_days if record.promise
                else record.test.promised_bounds_days,
                "promised_coverage": record.test.coverage,
                "delivered_mae_days": float(errors.mean()),
                **unselected(workspace, config, record, scored, truth),
            }
        )
    weights = [one["predictions"] for one in models]

    def mean(name: str) -> float:
        return float(np.average([one[name] for one in models], weights=weights))

    names = ("ended_mae_days", "promised_mae_days", "unselected_mae_days", "same_mix_mae_days", "delivered_mae_days")
    totals = {name: mean(name) for name in names}
    ratios = {
        f"delivered_by_{name.removesuffix('_mae_days')}": totals["delivered_mae_days"] / totals[name]
        for name in names
        if name != "delivered_mae_days"
    }
    promised = {one["version"]: one["promised_mae_days"] for one in models}
    members = max(records[version].spec.members for version in promised)
    to_promised = to_promised_patients(stored, promised, promised_shares(config, members))
    return {**totals, **ratios, **to_promised, "models": models}


def to_promised_patients(
    stored: pd.DataFrame, promised_mae_days: dict[str, float], shares: dict[str, float]
) -> dict[str, Any]:
    """What was promised and delivered to the patients whom promises are made of, and the 95 % range of the ratio by
    chance (stays drawn anew). `shares`: of each split's patients that share; of others none."""
    weight = stored["split"].map(shares).fillna(0.0)
    error = (stored["remaining_los_days"] - stored["actual_days"]).abs()
    frame = pd.DataFrame({"weight": weight, "delivered": weight * error,
                          "promised": weight * stored["model_version"].map(promised_mae_days)})  # fmt: skip
    by_stay = frame.groupby(stored["stay_id"]).sum().to_numpy()
    total, delivered, promised = by_stay.sum(axis=0)
    generator = np.random.default_rng(0)
    even = np.full(len(by_stay), 1 / len(by_stay))
    drawn = [generator.multinomial(len(by_stay), even) @ by_stay for _ in range(_DRAWS)]
    low, high = np.quantile([one[1] / one[2] for one in drawn], (0.025, 0.975))
    return {
        "to_promised_patients_promised_mae_days": float(promised / total),
        "to_promised_patients_delivered_mae_days": float(delivered / total),
        "to_promised_patients_delivered_by_promised": float(delivered / promised),
        "by_chance": [float(low), float(high)],
    }


def promised_shares(config: Config, members: int) -> dict[str, float]:
    """Of each split the share of its patients of whom a promise is made: those that some model had not trained on, but
    for the ones that calibrate."""
    training = config.training
    own = 1 - training.test_share - training.calibration_share - training.validation_share
    further = window_count(members, training) - 1
    return {"test": 1.0, "validation": 1.0, "train": further * training.validation_share / own}


def unselected(
    workspace: Workspace, config: Config, record: ModelRecord, scored: pd.DataFrame, truth: pd.DataFrame
) -> dict[str, Any]:
    """The model on its own test stays at all nights up to its training, open stays included: the mean error, and the
    same with the days since admission of the stored predictions."""
    test = split_of(load_sequences(workspace.sequences(record.trained_as_of)), "test")
    points, actual = points_with_truth(test, config, record.trained_as_of, truth)
    said = predict(load_network(workspace, record), arrange(test, record.spec), points, torch.device("cpu"))
    errors = np.abs(said.days - actual)
    band = np.digitize(elapsed_days(test, points), _ELAPSED_ENDS_DAYS)
    wanted = np.bincount(np.digitize(scored["elapsed_days"], _ELAPSED_ENDS_DAYS), minlength=len(_ELAPSED_ENDS_DAYS) + 1)
    by_band = [errors[band == one].mean() if (band == one).any() else np.nan for one in range(len(wanted))]
    known = ~np.isnan(by_band)
    mean, low, high = bootstrapped_mean(errors, points.stay)
    return {
        "unselected_mae_days": mean,
        "unselected_bounds_days": [low, high],
        "same_mix_mae_days": float(np.average(np.array(by_band)[known], weights=wanted[known])),
        "same_mix_share": float(wanted[known].sum() / wanted.sum()),
    }


def points_with_truth(
    test: StaySequences, config: Config, as_of: date, truth: pd.DataFrame
) -> tuple[NightlyPoints, np.ndarray]:
    """Nightly points of all test stays, and the days that truly remained at each [m]."""
    points = nightly_points(test, config.cutoff_instant(as_of))
    los = truth.loc[test.stays["stay_id"], "los_days"].to_numpy()
    return points, np.maximum(los[points.stay] - elapsed_days(test, points), 0.0)
