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
    stored predictions are: who is in bed later has been there longer. `to_test_patients`: what was delivered to those
    whom the promise was made of. How much that can differ by chance from what was delivered to all, `drawn` tells: the
    delivered error of as many stays drawn at random, its 95 % range.
    """
    models = []
    for version, rows in stored.groupby("model_version").indices.items():
        record, scored = records[str(version)], stored.iloc[rows]
        errors = (scored["remaining_los_days"] - scored["actual_days"]).abs().to_numpy()
        models.append(
            {
                "version": str(version), "trained_as_of": record.trained_as_of.isoformat(),
                "predictions": len(rows), "test_stays": record.test.stays,
                "ended_mae_days": record.test.mae_days, "promised_mae_days": record.test.promised_mae_days,
                "promised_bounds_days": record.test.promised_bounds_days,
                "promised_coverage": record.test.coverage,
                "to_test_patients": int((scored["split"] == "test").sum()),
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
    return {**totals, **ratios, **to_test_patients(stored, models), "models": models}


def to_test_patients(stored: pd.DataFrame, models: list[dict[str, Any]]) -> dict[str, Any]:
    """What was promised and delivered to the patients whom the promises were made of, and the range of what is
    delivered to as many stays."""
    errors = (stored["remaining_los_days"] - stored["actual_days"]).abs()
    by_stay = errors.groupby(stored["stay_id"]).agg(["sum", "size"])
    tested = (stored.groupby("stay_id")["split"].first() == "test").to_numpy()
    generator = np.random.default_rng(0)
    totals, counts = by_stay["sum"].to_numpy(), by_stay["size"].to_numpy()

    def mean_of(stays: np.ndarray) -> float:
        return float(totals[stays].sum() / counts[stays].sum())

    delivered, chosen = mean_of(tested), int(tested.sum())
    drawn = np.array([mean_of(generator.choice(len(by_stay), chosen, replace=False)) for _ in range(_DRAWS)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    weights = [one["to_test_patients"] for one in models]
    promised = np.average([one["promised_mae_days"] for one in models], weights=weights)
    return {
        "test_patients_stays": chosen,
        "to_test_patients_promised_mae_days": float(promised),
        "to_test_patients_delivered_mae_days": delivered,
        "to_test_patients_delivered_by_promised": float(delivered / promised),
        "drawn_mae_days": [float(low), float(high)],
        "as_low_by_chance": float((drawn <= delivered).mean()),
    }


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
