"""Length of stay and in-hospital mortality at hour 48 of PhysioNet/CinC 2012: fit on some sets, test on another.

    python benchmarks/accuracy_p12.py --data ../shared/data/physionet2012 --train a --test b --seeds 5 --json out.json

The default is what `medlstm init` configures; the pure LSTM ensemble, gradient boosting, ridge and the median, with the
same settings, are beside it, and the model of the tutorial's template. Each is an ensemble of `--seeds` members (the
tutorial's is one); `_sd` is the standard deviation over the single members, `_one_seed` their mean.
Nothing of the test sets is read before all models are fitted, and each model is saved and loaded before it is asked.
"""

import argparse
import time
import tomllib
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.physionet2012 import HOURS, read_sets
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
from medlstm.sequences.nightly_points import NightlyPoints
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.model_names import BLEND_PARTS
from medlstm.settings.workspace import Config
from medlstm.training.fit_ensemble import FittedModel, fit_blend, fit_model
from medlstm.training.known_points import groups_at

FEATURES = {"numeric": ["age", "height"], "categorical": ["gender", "icu_type"]}
COLUMNS = [
    "los_mae_days", "los_msle", "los_r2", "los_kappa", "mortality_auroc", "mortality_auprc", "coverage_90",
    "width_90_days", "seconds_fit",
]  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of set-X.tar.gz and Outcomes-X.txt")
    parser.add_argument("--train", required=True, help="sets to fit on, such as a or a,b")
    parser.add_argument("--test", required=True, help="sets to test on, such as b")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        result = run(options.data, options.train.split(","), options.test.split(","), options.seeds)
    show(result, COLUMNS)
    show_subgroups(result["subgroups"])
    if options.json:
        write(options.json, result)


def run(folder: Path, train: list[str], test: list[str], seeds: int) -> dict[str, Any]:
    """All models' scores by name, and the paired bootstrap of the default against gradient boosting."""
    config = settings(FEATURES, seeds)
    training = read_sets(folder, train)
    training.stays["split"] = assign_inner_splits(training.stays["patient_id"], config)
    fitted = fit_all(training, config)
    tested = read_sets(folder, test)
    result: dict[str, Any] = {"protocol": {"train": train, "test": test, "seeds": seeds}}
    predictions = {}
    for name, model in fitted.items():
        network = saved_and_loaded(model, tested, at_48_hours(tested))
        started = time.monotonic()
        predictions[name] = predict_at_48_hours(network, tested)
        seconds = time.monotonic() - started
        whole = score(model, predictions[name], tested)
        count = model.spec.members
        alone = [network.only(position) for position in range(count)] if count > 1 else []
        members = [score(model, predict_at_48_hours(one, tested), tested) for one in alone]
        result[name] = with_spread(whole, members)
        result[name] |= {"seconds_fit": model.seconds, "seconds_fit_sd": 0.0}
        result[name] |= {"seconds_score": seconds, "seconds_score_sd": 0.0, "sharpness": model.spec.sharpness}
    result["default"] = dict(result[config.model.name])
    result["default"]["model"] = config.model.name
    result["subgroups"] = [asdict(one) for one in by_subgroup(fitted["blend"], predictions["blend"], tested)]
    result["paired_bootstrap"] = {
        f"{name}_against_gbm": against(predictions[name], predictions["gbm"], tested) for name in ("blend", "lstm")
    }
    return result


def fit_all(training: StaySequences, config: Config) -> dict[str, FittedModel]:
    """Every model on the same stays."""
    names = (*BLEND_PARTS, "ridge", "median")
    fitted = {name: fit_model(training, at_48_hours, named(config, name)) for name in names}
    fitted["blend"] = fit_blend(fitted, training, at_48_hours, config)
    tutorial = tomllib.loads((files("medlstm.settings") / "examples" / "tutorial.toml").read_text(encoding="utf-8"))
    fitted["lstm_tutorial"] = fit_model(training, at_48_hours, settings(FEATURES, 1, tutorial))
    return fitted


def at_48_hours(sequences: StaySequences) -> NightlyPoints:
    """The last of the 48 hours of every stay."""
    remaining = (sequences.stays["duration_hours"].to_numpy(dtype=np.float64) - HOURS) / 24
    return NightlyPoints(np.arange(len(sequences)), np.full(len(sequences), HOURS - 1), remaining)


def predict_at_48_hours(network: Ensemble, sequences: StaySequences) -> Predictions:
    """What the network says of every stay at hour 48."""
    return predict(network, arrange(sequences, network.spec), at_48_hours(sequences), torch.device("cpu"))


def score(model: FittedModel, predictions: Predictions, tested: StaySequences) -> Scores:
    """Errors of the total length of stay where it is known (the mean of the distribution for R2, its median for the
    rest), and of the risk of dying."""
    actual = tested.stays["los_days"].to_numpy(dtype=np.float64)
    known = ~np.isnan(actual)
    days, actual = HOURS / 24 + predictions.days[known], actual[known]
    lower, upper = (HOURS / 24 + bound[known] for bound in bounds_at_48_hours(model, predictions, tested))
    mean = HOURS / 24 + predictions.mean_days()[known]
    scores = {
        "los_mae_days": metrics.mean_absolute_error(days, actual),
        "los_rmse_days": metrics.root_mean_squared_error(mean, actual),
        "los_msle": metrics.mean_squared_log_error(days, actual),
        "los_r2": metrics.r_squared(mean, actual),
        "los_kappa": metrics.los_kappa(days, actual),
    }
    if predictions.mortality is not None:
        died = tested.stays["died"].to_numpy(dtype=bool)
        scores |= {
            "mortality_auroc": metrics.auroc(predictions.mortality, died),
            "mortality_auprc": metrics.auprc(predictions.mortality, died),
            "mortality_score1": metrics.score1(predictions.mortality, died, score1_threshold(model)),
        }
    # The interval is of the remaining days, which are none where the stay was over by hour 48.
    actual = np.maximum(actual, HOURS / 24)
    return scores | {
        "coverage_90": metrics.interval_coverage(lower, upper, actual),
        "width_90_days": metrics.interval_width(lower, upper),
    }


def by_subgroup(model: FittedModel, predictions: Predictions, tested: StaySequences) -> tuple[SubgroupScore, ...]:
    """MAE and interval coverage of stays of known length by gender, age, and kind of intensive care unit."""
    actual = tested.stays["los_days"].to_numpy(dtype=np.float64)
    known = ~np.isnan(actual)
    lower, upper = bounds_at_48_hours(model, predictions, tested)
    remaining = np.maximum(actual - HOURS / 24, 0)
    errors = np.abs(HOURS / 24 + predictions.days - actual)
    held = (lower <= remaining) & (remaining <= upper)
    groups = groups_at(at_48_hours(tested), tested, model.spec)[known]
    elapsed = np.full(len(groups), HOURS / 24)
    return score_subgroups(groups, np.flatnonzero(known), elapsed, errors[known], held[known])


def bounds_at_48_hours(
    model: FittedModel, predictions: Predictions, tested: StaySequences
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds in days of what remains at hour 48, for every stay."""
    groups = groups_at(at_48_hours(tested), tested, model.spec)
    return model.interval.bounds(predictions, np.full(len(tested), HOURS / 24), groups)


def score1_threshold(model: FittedModel) -> float:
    """The threshold that did best on training stays, each by the member that was not trained on it."""
    said = [(one.predictions.mortality, one.died) for one in model.out_of_fold if one.predictions.mortality is not None]
    risk, died = (np.concatenate(parts) for parts in zip(*said, strict=True))
    known = ~np.isnan(died)
    return metrics.best_score1_threshold(risk[known], died[known] == 1)


def against(predictions: Predictions, reference: Predictions, tested: StaySequences) -> dict[str, float]:
    """Difference of MAE in days to the reference, and its 95 % bounds over stays; below 0 is better."""
    actual = tested.stays["los_days"].to_numpy(dtype=np.float64)
    known = ~np.isnan(actual)
    errors = [np.abs(HOURS / 24 + said.days[known] - actual[known]) for said in (predictions, reference)]
    difference, lower, upper = metrics.paired_bootstrap(errors[0], errors[1], np.flatnonzero(known))
    return {"mae_days": difference, "lower": lower, "upper": upper}


if __name__ == "__main__":
    main()
