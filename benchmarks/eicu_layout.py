"""Folders with `dyn`, `sta` and `outc` Parquet files (the layout that YAIB publishes for eICU) as stay sequences.

`outc.label` is the remaining stay in hours at the row of its hour, capped; `dyn` has one row per stay and hour.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medlstm.sequences.nightly_points import NightlyPoints
from medlstm.sequences.stay_sequences import StaySequences

CAP_HOURS = 168.0
_ADMITTED = pd.Timestamp("2015-01-01", tz="UTC").as_unit("us")


@dataclass(frozen=True)
class LabelledHours:
    """Every hour with a label: the position of its stay [m], its step [m] and the remaining hours [m], capped."""

    stay: np.ndarray
    step: np.ndarray
    remaining_hours: np.ndarray


def read_folder(folder: Path) -> tuple[StaySequences, LabelledHours]:
    """The stays that have labels, and their labelled hours. Raises ValueError naming the file that is missing."""
    dynamic, static, outcome = (_read(folder, name) for name in ("dyn", "sta", "outc"))
    ids = np.sort(outcome["stay_id"].unique())
    labelled = _labelled_hours(outcome, ids)
    last = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(last, labelled.stay, labelled.step)
    stays = _stays(ids, static, labelled)
    variables = [name for name in dynamic.columns if name not in ("stay_id", "time")]
    stay, step = pd.Index(ids).get_indexer(dynamic["stay_id"]), _hours(dynamic["time"])
    kept = np.flatnonzero((stay >= 0) & (step >= 0) & (step <= last[stay]))
    kept = kept[np.lexsort((step[kept], stay[kept]))]
    values = dynamic[variables].to_numpy(dtype=np.float32, na_value=np.nan)[kept]
    sequences = StaySequences(
        stays=stays,
        variables=tuple(variables),
        bin_hours=1,
        single_step=False,
        steps=last + 1,
        first_bin=np.zeros(len(ids), dtype=np.int64),
        stay=stay[kept],
        step=step[kept],
        values=values,
    )
    return sequences, labelled


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the folder needs dyn, sta and outc Parquet files")
    return pd.read_parquet(path)


def _hours(time: pd.Series) -> np.ndarray:
    """Whole hours since admission of a duration, or of a number of hours."""
    if pd.api.types.is_timedelta64_dtype(time):
        return np.floor(time.dt.total_seconds().to_numpy() / 3600).astype(np.int64)
    return np.floor(time.to_numpy(dtype=np.float64)).astype(np.int64)


def _labelled_hours(outcome: pd.DataFrame, ids: np.ndarray) -> LabelledHours:
    kept = outcome["label"].notna().to_numpy()
    stay, step = pd.Index(ids).get_indexer(outcome["stay_id"])[kept], _hours(outcome["time"])[kept]
    label = np.clip(outcome["label"].to_numpy(dtype=np.float64)[kept], 0.0, CAP_HOURS)
    order = np.lexsort((step, stay))
    order = order[step[order] >= 0]
    return LabelledHours(stay[order], step[order], label[order])


def _stays(ids: np.ndarray, static: pd.DataFrame, labelled: LabelledHours) -> pd.DataFrame:
    """One row a stay: it ends where its labels say, and is open where the last of them is at the cap."""
    ends = labelled.step + 1 + labelled.remaining_hours
    capped = labelled.remaining_hours >= CAP_HOURS
    duration, known = np.zeros(len(ids)), np.zeros(len(ids), dtype=bool)
    np.maximum.at(duration, labelled.stay, ends)
    known[labelled.stay[~capped]] = True
    exact = np.zeros(len(ids))
    np.maximum.at(exact, labelled.stay[~capped], ends[~capped])
    stays = pd.DataFrame({
        "stay_id": [str(one) for one in ids],
        "patient_id": [str(one) for one in ids],
        "admitted_at": _ADMITTED,
        "duration_hours": np.where(known, exact, duration),
        "is_open": ~known,
    })  # fmt: skip
    numbers = static.drop_duplicates("stay_id").set_index("stay_id").reindex(ids).reset_index(drop=True)
    return pd.concat([stays, numbers], axis=1)


def points_of(sequences: StaySequences, every_hours: int = 1) -> NightlyPoints:
    """Every so many-th hour of every stay, with the days that remain at its close."""
    counts = (sequences.steps + every_hours - 1) // every_hours
    stay = np.repeat(np.arange(len(sequences)), counts)
    step = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) * every_hours
    duration = sequences.stays["duration_hours"].to_numpy(dtype=np.float64)[stay]
    return NightlyPoints(stay, step, np.maximum(duration - step - 1, 0.0) / 24)
