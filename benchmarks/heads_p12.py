"""Which head suits the LSTM: cross-validation inside one set of PhysioNet/CinC 2012, the same folds for every head.

    python benchmarks/heads_p12.py --data ../shared/data/physionet2012 --set a --json heads.json

Errors are of the total length of stay at hour 48 over all left-out stays; `against_hazard` is the difference of the
MAE in days and its 95 % bounds, by bootstrap over stays. No other set is read.
"""

import argparse
import hashlib
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.accuracy_p12 import FEATURES, at_48_hours, bounds_at_48_hours, predict_at_48_hours
from benchmarks.physionet2012 import HOURS, read_sets
from benchmarks.results import write
from benchmarks.scores import assign_inner_splits, saved_and_loaded, settings, show
from medlstm.evaluation import metrics
from medlstm.models.heads import HeadName
from medlstm.training.fit_ensemble import fit_model

HEADS: tuple[str, ...] = get_args(HeadName)
COLUMNS = ["los_mae_days", "los_msle", "los_r2", "los_kappa", "coverage_90", "width_90_days", "seconds_fit"]


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of set-X.tar.gz and Outcomes-X.txt")
    parser.add_argument("--set", required=True, help="the set to compare heads in, such as a")
    parser.add_argument("--heads", nargs="+", default=HEADS, choices=HEADS)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--processes", type=int, default=1, help="how many fits at a time, of one thread each")
    options = parser.parse_args()
    tasks = [(options.data, options.set, head, fold, options.folds, options.members)
             for head in options.heads for fold in range(options.folds)]  # fmt: skip
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(left_out, *zip(*tasks, strict=True)))
    tables = {
        head: {name: np.concatenate([parts[index * options.folds + fold][name] for fold in range(options.folds)])
               for name in parts[0]}
        for index, head in enumerate(options.heads)
    }  # fmt: skip
    result: dict[str, Any] = {"protocol": {"set": options.set, "folds": options.folds, "members": options.members}}
    for head, table in tables.items():
        result[head] = score(table)
        if "hazard" in tables and head != "hazard":
            result[head]["against_hazard"] = against(table, tables["hazard"])
    show(result, COLUMNS)
    if options.json:
        write(options.json, result)


def left_out(data: Path, name: str, head: str, fold: int, folds: int, members: int) -> dict[str, np.ndarray]:
    """What a model of the other folds says of a fold's stays of known length, all in days."""
    torch.set_num_threads(1)
    compared = {"name": "lstm", "head": head, "mortality": False, "sharpness": 1.0}
    config = settings(FEATURES, members, {"model": compared})
    stays = read_sets(data, [name])
    of_fold = np.array([_fold(patient, folds) for patient in stays.stays["patient_id"]]) == fold
    training, tested = stays.select(~of_fold), stays.select(of_fold)
    training.stays["split"] = assign_inner_splits(training.stays["patient_id"], config)
    started = time.monotonic()
    with threadpool_limits(1):
        fitted = fit_model(training, at_48_hours, config)
        seconds = time.monotonic() - started
        said = predict_at_48_hours(saved_and_loaded(fitted, tested, at_48_hours(tested)), tested)
    actual = tested.stays["los_days"].to_numpy(dtype=np.float64)
    known = ~np.isnan(actual)
    lower, upper = bounds_at_48_hours(fitted, said, tested)
    admitted = HOURS / 24
    return {
        "actual": actual[known],
        "days": admitted + said.days[known],
        "mean": admitted + said.mean_days()[known],
        "lower": admitted + lower[known],
        "upper": admitted + upper[known],
        "seconds": np.array([seconds]),
    }


def _fold(patient: str, folds: int) -> int:
    return int(hashlib.sha256(f"heads:{patient}".encode()).hexdigest(), 16) % folds


def score(table: dict[str, np.ndarray]) -> dict[str, Any]:
    """Errors over the stays of all folds."""
    actual, days = table["actual"], table["days"]
    stay_on = np.maximum(actual, HOURS / 24)
    return {
        "los_mae_days": metrics.mean_absolute_error(days, actual),
        "los_msle": metrics.mean_squared_log_error(days, actual),
        "los_r2": metrics.r_squared(table["mean"], actual),
        "los_kappa": metrics.los_kappa(days, actual),
        "coverage_90": metrics.interval_coverage(table["lower"], table["upper"], stay_on),
        "width_90_days": metrics.interval_width(table["lower"], table["upper"]),
        "seconds_fit": float(table["seconds"].sum()),
    }


def against(table: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> dict[str, float]:
    """Difference of MAE in days to the reference, and its 95 % bounds over stays; below 0 is better."""
    errors = [np.abs(one["days"] - one["actual"]) for one in (table, reference)]
    difference, lower, upper = metrics.paired_bootstrap(errors[0], errors[1], np.arange(len(errors[0])))
    return {"mae_days": difference, "lower": lower, "upper": upper}


if __name__ == "__main__":
    main()
