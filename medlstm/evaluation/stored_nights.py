"""Stored predictions of nights, and what a later date knows of their stays."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from medlstm.lake.files import Workspace, partition_file, partitions_until, read_json, read_table
from medlstm.sequences.cohort import Cohort
from medlstm.settings.workspace import Config


def predicted_nights(workspace: Workspace, first: date, before: date) -> list[date]:
    """The nights from `first` on and before `before` that have predictions, oldest first."""
    paths = partitions_until(workspace.predictions, before, key="as_of")
    nights = (date.fromisoformat(path.parent.name.removeprefix("as_of=")) for path in paths)
    return [night for night in nights if first <= night < before]


def predicted_stays(workspace: Workspace, nights: Sequence[date]) -> list[str]:
    """The stays that the nights have scored."""
    found: set[str] = set()
    for night in nights:
        table = pq.read_table(partition_file(workspace.predictions, night, key="as_of"), columns=["stay_id"],
                              partitioning=None)  # fmt: skip
        found.update(table.column("stay_id").to_pylist())
    return sorted(found)


def judged_predictions(
    workspace: Workspace,
    nights: Sequence[date],
    cohort: Cohort,
    promised_mae_days: Mapping[str, float | None],
    config: Config,
) -> pd.DataFrame:
    """The predictions of the nights with what the cohort of a later date knows: see `score_nights`.

    A stay that the source has taken back since is left out. `promised_mae_days` by model version.
    """
    known = cohort.frame.set_index("stay_id")[["end_at", "is_open"]]
    frames = []
    for night in nights:
        rows = read_table(partition_file(workspace.predictions, night, key="as_of")).to_pandas()
        rows = rows[rows["stay_id"].isin(known.index)]
        if len(rows):
            until = known.loc[rows["stay_id"]]
            since = until["end_at"] - pd.Timestamp(config.cutoff_instant(night))
            frames.append(_current(rows).assign(
                known_days=np.maximum(since.dt.total_seconds().to_numpy() / 86400, 0.0),
                ended=~until["is_open"].to_numpy(dtype=bool),
                promised_mae_days=rows["model_version"].map(promised_mae_days).astype(np.float64),
            ))  # fmt: skip
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _current(rows: pd.DataFrame) -> pd.DataFrame:
    """Predictions of earlier versions know the constant alone, under the baseline's name."""
    if "median_remaining_days" in rows:
        return rows
    return rows.rename(columns={"baseline_remaining_days": "median_remaining_days"}).assign(
        baseline_remaining_days=np.nan
    )


def backtested_nights(workspace: Workspace) -> frozenset[date]:
    """The nights that were scored afterwards, from an export of a later date."""
    if not workspace.backtest.is_file():
        return frozenset()
    return frozenset(date.fromisoformat(night) for night in read_json(workspace.backtest)["nights"])
