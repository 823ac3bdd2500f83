"""Remaining length of stay at every hour, capped at a week, on a folder in the eICU layout: five folds by stay.

    python benchmarks/accuracy_eicu.py --data ../shared/data/eicu_demo_los --json out.json

Each stay is predicted by models that were fitted on the other folds with the product's defaults and the cap as horizon,
saved and loaded; errors are over all labelled hours of all folds.
`_sd` is the standard deviation over the single members of the ensembles, `_one_seed` their mean.
"""

import argparse
import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from benchmarks.eicu_layout import CAP_HOURS, LabelledHours, points_of, read_folder
from benchmarks.results import write
from benchmarks.scores import (
    Scores,
    assign_inner_splits,
    named,
    saved_and_loaded,
    settings,
    show,
    show_subgroups,
    with_spread,
)
from medlstm.evaluation import metrics
from medlstm.evaluation.subgroups import SubgroupScore, score_subgroups
from medlstm.models.ensemble import Ensemble
from medlstm.models.predict import Predictions, predict
from medlstm.sequences.batches import arrange
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.model_names import BLEND_PARTS
from medlstm.settings.workspace import Config
from medlstm.training.fit_ensemble import FittedModel, fit_blend, fit_model
from medlstm.training.known_points import groups_at

FOLDS = 5
NAMES = (*BLEND_PARTS, "ridge", "median")
# Hours of one stay are much alike: models on tables and the check for early stopping take every sixth.
LEARN_EVERY_HOURS = 6
_GROUP = "group "
COLUMNS = ["mae_hours", "r2", "kappa", "coverage_90", "width_90_hours", "seconds_fit", "seconds_score"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of dyn, sta and outc Parquet files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        result = run(options.data, options.seeds)
    show(result, COLUMNS)
    show_subgroups(result["subgroups"])
    if options.json:
        write(options.json, result)


@dataclass(frozen=True)
class FoldResult:
    """By model name: one row per labelled hour of the fold's stays, and the seconds to fit and to score."""

    tables: dict[str, pd.DataFrame]
    seconds: dict[str, tuple[float, float]]


def run(folder: Path, seeds: int) -> dict[str, Any]:
    """All models' scores by name, and the paired bootstrap of the default against gradient boosting."""
    sequences, labelled = read_folder(folder)
    numbers = np.unique(assign_folds(sequences.stays["stay_id"])).tolist()
    folds = [fit_fold(sequences, labelled, number, seeds) for number in numbers]
    names = list(folds[0].tables)
    joined = {name: pd.concat([fold.tables[name] for fold in folds], ignore_index=True) for name in names}
    stays = sum(table["stay"].nunique() for table in (fold.tables[names[0]] for fold in folds))
    result: dict[str, Any] = {"protocol": {"stays": stays, "hours": len(joined[names[0]]), "seeds": seeds}}
    for name, table in joined.items():
        members = [score(table, f"_{position}") for position in range(seeds)] if seeds > 1 else []
        result[name] = with_spread(score(table, ""), members)
        seconds = np.sum([fold.seconds[name] for fold in folds], axis=0)
        for column, value in zip(("seconds_fit", "seconds_score"), seconds, strict=True):
            result[name] |= {column: float(value), f"{column}_sd": 0.0}
    default = settings({}, seeds).model.name
    result["default"] = result[default] | {"model": default}
    result["subgroups"] = [asdict(one) for one in by_subgroup(joined[default])]
    result["paired_bootstrap"] = {
        f"{name}_against_gbm": against(joined[name], joined["gbm"]) for name in ("blend", "lstm")
    }
    return result


def fit_fold(sequences: StaySequences, labelled: LabelledHours, number: int, seeds: int) -> FoldResult:
    """Fit every model on the stays of the other folds and ask it at all hours of this fold's."""
    config = settings(features_of(sequences), seeds, {"model": {"horizon_days": CAP_HOURS / 24}})
    inside = assign_folds(sequences.stays["stay_id"]) == number
    training, tested = sequences.select(~inside), sequences.select(inside)
    training.stays["split"] = assign_inner_splits(training.stays["stay_id"], config)
    hours = hours_of(labelled, inside)
    result = FoldResult({}, {})
    for name, model in fit_all(training, config).items():
        network = saved_and_loaded(model, tested, learning_points(tested))
        started = time.monotonic()
        table = predicted_hours(model, network, tested, hours, seeds)
        asked = 1 + (seeds if seeds > 1 else 0)
        result.seconds[name] = model.seconds, (time.monotonic() - started) / asked
        result.tables[name] = table.assign(stay=np.flatnonzero(inside)[hours.stay])
    errors = {name: metrics.mean_absolute_error(table["median"].to_numpy(), table["actual"].to_numpy())
              for name, table in result.tables.items()}  # fmt: skip
    print(f"fold {number}: MAE", ", ".join(f"{name} {error:.2f} h" for name, error in errors.items()), flush=True)
    return result


def features_of(sequences: StaySequences) -> dict[str, Any]:
    """Numbers and categories among the static columns."""
    given = sequences.stays.drop(columns=["stay_id", "patient_id", "admitted_at", "duration_hours", "is_open"])
    numeric = [name for name in given if pd.api.types.is_numeric_dtype(given[name])]
    return {"numeric": numeric, "categorical": [name for name in given if name not in numeric]}


def assign_folds(stay_ids: pd.Series) -> np.ndarray:
    """The fold [n] of each stay, by the order of a hash, so that folds are of equal size and never empty."""
    order = np.argsort([hashlib.sha256(f"fold:{one}".encode()).hexdigest() for one in stay_ids], kind="stable")
    fold = np.empty(len(order), dtype=np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold


def hours_of(labelled: LabelledHours, chosen: np.ndarray) -> LabelledHours:
    """The labelled hours of the chosen stays [n], which are numbered anew."""
    kept = chosen[labelled.stay]
    renumbered = np.cumsum(chosen) - 1
    return LabelledHours(renumbered[labelled.stay[kept]], labelled.step[kept], labelled.remaining_hours[kept])


def fit_all(training: StaySequences, config: Config) -> dict[str, FittedModel]:
    """Every model on the same stays."""
    fitted = {name: fit_model(training, learning_points, named(config, name)) for name in NAMES}
    fitted["blend"] = fit_blend(fitted, training, learning_points, config)
    return fitted


def learning_points(sequences: StaySequences) -> NightlyPoints:
    """Every sixth hour of every stay."""
    return points_of(sequences, LEARN_EVERY_HOURS)


def predicted_hours(
    model: FittedModel, network: Ensemble, tested: StaySequences, hours: LabelledHours, seeds: int
) -> pd.DataFrame:
    """One row per labelled hour: what was, and the median, mean and bounds of the ensemble and of each member."""
    points = NightlyPoints(hours.stay, hours.step, hours.remaining_hours / 24)
    stays = arrange(tested, model.spec)
    elapsed, groups = elapsed_days(tested, points), groups_at(points, tested, model.spec)
    columns = {"actual": hours.remaining_hours, "step": hours.step, "elapsed": elapsed}
    columns |= {f"{_GROUP}{name}": labels.astype("object").to_numpy() for name, labels in groups.items()}
    networks = {"": network}
    if seeds > 1:
        networks |= {f"_{position}": network.only(position) for position in range(seeds)}
    for suffix, one in networks.items():
        said = predict(one, stays, points, torch.device("cpu"))
        columns |= {f"{name}{suffix}": values for name, values in readings(said, model, elapsed, groups).items()}
    return pd.DataFrame(columns)


def readings(
    said: Predictions, model: FittedModel, elapsed: np.ndarray, groups: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Median, mean and bounds in hours, none longer than the cap."""
    lower, upper = model.interval.bounds(said, elapsed, groups)
    days = {"median": said.days, "mean": said.mean_days(), "lower": lower, "upper": upper}
    return {name: np.minimum(values * 24, CAP_HOURS) for name, values in days.items()}


def score(table: pd.DataFrame, suffix: str) -> Scores:
    """Errors over all hours: of the median, and of the mean for R2."""
    actual = table["actual"].to_numpy()
    median, mean, lower, upper = (table[f"{name}{suffix}"].to_numpy() for name in ("median", "mean", "lower", "upper"))
    return {
        "mae_hours": metrics.mean_absolute_error(median, actual),
        "r2": metrics.r_squared(mean, actual),
        "kappa": metrics.los_kappa(median / 24, actual / 24),
        "coverage_90": metrics.interval_coverage(lower, upper, actual),
        "width_90_hours": metrics.interval_width(lower, upper),
    }


def by_subgroup(table: pd.DataFrame) -> tuple[SubgroupScore, ...]:
    """MAE in days and interval coverage by each category, age, and days since admission, over all hours."""
    groups = table.filter(like=_GROUP).rename(columns=lambda name: name.removeprefix(_GROUP))
    errors = (table["median"] - table["actual"]).abs().to_numpy() / 24
    held = ((table["lower"] <= table["actual"]) & (table["actual"] <= table["upper"])).to_numpy()
    return score_subgroups(groups, table["stay"].to_numpy(), table["elapsed"].to_numpy(), errors, held)


def against(table: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """Difference of MAE in hours to the reference, and its 95 % bounds over stays; below 0 is better."""
    errors = [(one["median"] - one["actual"]).abs().to_numpy() for one in (table, reference)]
    difference, lower, upper = metrics.paired_bootstrap(errors[0], errors[1], table["stay"].to_numpy())
    return {"mae_hours": difference, "lower": lower, "upper": upper}


if __name__ == "__main__":
    main()
