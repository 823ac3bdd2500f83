"""What the product delivers as it is operated: real nights over a replayed set, judged by what became of every stay.

    python benchmarks/delivered.py --data ../shared/data/physionet2012 --set b --days 90 --json delivered.json

`medlstm replay` turns the set into landing folders of 90 dates, `medlstm backfill` runs their nights with the defaults
that `medlstm init` writes (training when due), and then every stored prediction is held against the discharge that the
outcomes file tells, also of stays that ended after the last night: nothing is selected. Beside them stand the
Kaplan-Meier baseline of the model that scored, gradient boosting alone (trained and scored on the same nights by the
same code), and what each model's record had promised.
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.command import medlstm
from benchmarks.promise import promise
from benchmarks.results import write
from medlstm.evaluation import metrics
from medlstm.lake.files import Workspace, partition_dates, partition_file, read_table
from medlstm.models.distribution import RemainingStay
from medlstm.registry.nightly_training import train_night
from medlstm.registry.records import ModelRecord
from medlstm.registry.versions import load_records
from medlstm.scoring.score_night import score_night
from medlstm.sequences.stay_sequences import load_sequences, stored_scope
from medlstm.settings.workspace import Config, load_config
from medlstm.values.instants import epoch_us, instant_us

START = date(2026, 1, 1)
HORIZON_HOURS = (24, 48, 72)
_MICROSECONDS_PER_DAY = 86_400_000_000
_RELIABILITY_BINS = 10


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of set-X.tar.gz and Outcomes-X.txt")
    parser.add_argument("--set", required=True, help="the set to replay, such as b")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--lab-hours-late", type=float, default=0.0, help="when laboratory results arrive")
    parser.add_argument("--workspace", type=Path, help="where to run the nights and leave them")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = options.workspace or Path(scratch) / "delivered"
        started = time.monotonic()
        if not (root / "reports").exists():
            run_nights(options.data, options.set, options.days, root, options.lab_hours_late)
        seconds = time.monotonic() - started
        result = judge(Workspace(root), discharges(options.data / f"Outcomes-{options.set}.txt"))
    result["protocol"] = {"set": options.set, "days": options.days, "lab_hours_late": options.lab_hours_late,
                          "seconds_nights": seconds}  # fmt: skip
    show(result)
    if options.json:
        write(options.json, result)


def run_nights(data: Path, name: str, days: int, root: Path, lab_hours_late: float) -> None:
    """Replay the set and run every night, by the commands that a user types."""
    medlstm(
        "replay", "physionet2012", data / f"set-{name}.tar.gz", "--outcomes", data / f"Outcomes-{name}.txt",
        "--workspace", root, "--start", START, "--days", days, "--lab-hours-late", lab_hours_late,
    )  # fmt: skip
    medlstm("backfill", "--workspace", root, "--start", START, "--end", START + timedelta(days=days - 1))


def discharges(outcomes: Path) -> pd.DataFrame:
    """By stay_id: `los_days` and `died` of the stays whose length is known."""
    table = pd.read_csv(outcomes)
    known = table[table["Length_of_stay"] >= 0]
    return pd.DataFrame(
        {
            "los_days": known["Length_of_stay"].to_numpy(dtype=np.float64),
            "died": known["In-hospital_death"].to_numpy() == 1,
        },
        index=pd.Index(known["RecordID"].astype(str), name="stay_id"),
    )


@dataclass(frozen=True)
class Said:
    """What one forecaster said of the same m stored points: median and mean of what remains, bounds (infinite where it
    could not tell), chances of a discharge within 24, 48 and 72 hours [m, 3], and the risk of dying, if any."""

    days: np.ndarray
    mean_days: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    leaves: np.ndarray
    risk: np.ndarray | None


def judge(workspace: Workspace, truth: pd.DataFrame) -> dict[str, Any]:
    """Every stored prediction against what became of its stay."""
    config = load_config(workspace.root)
    stored = stored_predictions(workspace, config, truth)
    records = {record.version: record for record in load_records(workspace, date.max)}
    boosted = boosting_alone(workspace, config)
    same_nights = stored_predictions(boosted, config, truth)
    if not stored[["as_of", "stay_id"]].equals(same_nights[["as_of", "stay_id"]]):
        raise ValueError("gradient boosting did not score the very same stays on the very same nights")
    actual, died = stored["actual_days"].to_numpy(), stored["died"].to_numpy(dtype=bool)
    said = {"default": of_table(stored), "gbm": of_table(same_nights), "baseline": of_baseline(stored, records)}
    result: dict[str, Any] = {name: scores(one, actual, died) for name, one in said.items()}
    constant = stored["median_remaining_days"].to_numpy()
    result["median"] = {"mae_days": metrics.mean_absolute_error(constant, actual)}
    stay = stored["stay_id"].to_numpy()
    errors = {name: np.abs(one.days - actual) for name, one in said.items()}
    for other in ("baseline", "gbm"):
        difference, lower, upper = metrics.paired_bootstrap(errors["default"], errors[other], stay)
        result[f"default_against_{other}"] = {"mae_days": difference, "lower": lower, "upper": upper}
    result["promise"] = promise(workspace, config, stored, records, truth)
    result["nights"] = int(stored["as_of"].nunique())
    result["predictions"], result["stays"] = len(stored), len(np.unique(stay))
    return result


def stored_predictions(workspace: Workspace, config: Config, truth: pd.DataFrame) -> pd.DataFrame:
    """All predictions in the lake, with each stay's `actual_days` that remained, `died`, and its split and group as of
    then."""
    nights = []
    for day in partition_dates(workspace.predictions):
        night = read_table(partition_file(workspace.predictions, day, key="as_of")).to_pandas()
        stays = load_sequences(workspace.sequences(day)).stays.set_index("stay_id")
        admitted_us = epoch_us(stays.loc[night["stay_id"], "admitted_at"])
        lasted = (instant_us(config.cutoff_instant(day)) - admitted_us) / _MICROSECONDS_PER_DAY
        los = truth.loc[night["stay_id"], "los_days"].to_numpy()
        nights.append(
            night.assign(
                actual_days=np.maximum(los - lasted, 0.0), died=truth.loc[night["stay_id"], "died"].to_numpy(),
                split=stays.loc[night["stay_id"], "split"].to_numpy(),
                group=stays.loc[night["stay_id"], config.scoring.group_column].to_numpy(),
            )
        )
    return pd.concat(nights, ignore_index=True)


def boosting_alone(workspace: Workspace, config: Config) -> Workspace:
    """A workspace beside the given one with the same lake, whose nights were trained and scored with `gbm` alone."""
    other = Workspace(workspace.root.with_name(workspace.root.name + "-gbm"))
    # Reasons take most of a night's scoring and say nothing of how right it is.
    alone = config.model_copy(
        update={
            "model": config.model.model_copy(update={"name": "gbm"}),
            "scoring": config.scoring.model_copy(update={"top_reasons": 0}),
        }
    )
    shutil.rmtree(other.root, ignore_errors=True)
    (other.root / "lake").mkdir(parents=True)
    for path in (workspace.root / "lake").iterdir():
        if path.name != "predictions":
            (other.root / "lake" / path.name).symlink_to(path.resolve())
    for day in partition_dates(workspace.predictions):
        if stored_scope(workspace.sequences(day)) == "all":
            train_night(other, day, alone)
        score_night(other, day, alone)
    return other


def of_table(stored: pd.DataFrame) -> Said:
    """A model's own words, as they were stored."""
    leaves = stored[[f"p_discharge_{hours}h" for hours in HORIZON_HOURS]].to_numpy(dtype=np.float64)
    risk = stored["mortality_risk"].to_numpy(dtype=np.float64)
    upper = stored["remaining_los_days_upper"].to_numpy(dtype=np.float64)
    return Said(
        days=stored["remaining_los_days"].to_numpy(),
        mean_days=stored["remaining_los_days_mean"].to_numpy(),
        lower=stored["remaining_los_days_lower"].to_numpy(),
        upper=np.where(np.isnan(upper), np.inf, upper),
        leaves=leaves,
        risk=None if np.isnan(risk).all() else risk,
    )


def of_baseline(stored: pd.DataFrame, records: dict[str, ModelRecord]) -> Said:
    """The Kaplan-Meier curve in the record of the model that scored, given the ward and the days since admission."""
    columns = {name: np.full(len(stored), np.nan) for name in ("days", "mean_days", "lower", "upper")}
    leaves = np.full((len(stored), len(HORIZON_HOURS)), np.nan)
    for version, rows in stored.groupby("model_version").indices.items():
        remaining = _usual(records[str(version)], stored.iloc[rows])
        columns["days"][rows], columns["mean_days"][rows] = remaining.median(), remaining.mean()
        columns["lower"][rows], columns["upper"][rows] = remaining.quantile(0.05), remaining.quantile(0.95)
        leaves[rows] = np.stack([remaining.ended_within(hours / 24) for hours in HORIZON_HOURS], axis=1)
    if not np.allclose(columns["days"], stored["baseline_remaining_days"], atol=1e-9):
        raise ValueError("the stored baseline is not that of the record of the model that scored")
    return Said(**columns, leaves=leaves, risk=None)


def _usual(record: ModelRecord, stored: pd.DataFrame) -> RemainingStay:
    assert record.baseline is not None
    statics = pd.DataFrame({str(record.baseline.group_column): stored["group"]})
    return record.baseline.remaining(statics, stored["elapsed_days"].to_numpy())


def scores(said: Said, actual: np.ndarray, died: np.ndarray) -> dict[str, Any]:
    """Errors in days, coverage and width of the bounds, and how true the probabilities were."""
    told = np.isfinite(said.upper)
    result: dict[str, Any] = {
        "mae_days": metrics.mean_absolute_error(said.days, actual),
        "r2": metrics.r_squared(said.mean_days, actual),
        "coverage": metrics.interval_coverage(said.lower, said.upper, actual),
        "width_days": metrics.interval_width(said.lower[told], said.upper[told]),
        "upper_bound_known": float(told.mean()),
    }
    for column, hours in enumerate(HORIZON_HOURS):
        left = actual <= hours / 24
        result[f"brier_{hours}h"] = float(np.mean(np.square(said.leaves[:, column] - left)))
        result[f"reliability_{hours}h"] = reliability(said.leaves[:, column], left)
    if said.risk is not None:
        asked = ~np.isnan(said.risk)
        result["mortality_auroc"] = metrics.auroc(said.risk[asked], died[asked])
    return result


def reliability(probability: np.ndarray, happened: np.ndarray) -> list[dict[str, float]]:
    """What was said and what happened, in tenths of the predictions by what was said."""
    order = np.argsort(probability, kind="stable")
    return [
        {"predictions": len(part), "said": float(probability[part].mean()), "happened": float(happened[part].mean())}
        for part in np.array_split(order, _RELIABILITY_BINS)
        if len(part)
    ]


def show(result: dict[str, Any]) -> None:
    """The tables on standard output."""
    columns = ("mae_days", "r2", "coverage", "width_days", *(f"brier_{hours}h" for hours in HORIZON_HOURS))
    print("forecaster".ljust(12) + "".join(name.rjust(12) for name in (*columns, "auroc")))
    for name in ("default", "gbm", "baseline", "median"):
        row = result[name]
        cells = [row.get(column) for column in (*columns, "mortality_auroc")]
        print(name.ljust(12) + "".join(("-" if one is None else f"{one:.4f}").rjust(12) for one in cells))
    for other in ("baseline", "gbm"):
        one = result[f"default_against_{other}"]
        print(f"against {other}: {one['mae_days']:+.3f} days ({one['lower']:+.3f} to {one['upper']:+.3f})")
    given = result["promise"]
    print("promise: " + ", ".join(f"{name} {np.round(value, 3)}" for name, value in given.items() if name != "models"))
    for one in given["models"]:
        print(
            f"  {one['version']}: {one['predictions']} predictions, {one['test_stays']} test stays, ended "
            f"{one['ended_mae_days']:.2f}, promised {one['promised_mae_days']:.2f}, unselected "
            f"{one['unselected_mae_days']:.2f}, same mix "
            f"{one['same_mix_mae_days']:.2f}, delivered {one['delivered_mae_days']:.2f}"
        )
    for hours in HORIZON_HOURS:
        tenths = result["default"][f"reliability_{hours}h"]
        table = ", ".join(f"{one['said']:.3f}/{one['happened']:.3f}" for one in tenths)
        print(f"said/happened within {hours} h: {table}")


if __name__ == "__main__":
    main()
