"""Events to binned sequences: one row per stay and observed bin, in Parquet shards by patient."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.cohort import Cohort, Scope, connect, epoch_us, load_cohort
from medlstm.config import Config
from medlstm.lake import (
    Workspace,
    partition_dates,
    partition_file,
    read_json,
    read_table,
    write_json,
    write_table,
)

MANIFEST = "sequences.json"
_MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class SequenceSummary:
    """What a preprocess step made: counts only."""

    as_of: date
    scope: Scope
    stays: int
    open_stays: int
    rows: int
    variables: int


@dataclass(frozen=True)
class StaySequences:
    """The sequences of n stays in memory, ragged.

    `stays` is the static frame (one row a stay). Row r of `values` [rows, variables] float32 (NaN where
    nothing was observed) is step `step[r]` of stay `stay[r]`. A stay has `steps[i]` steps, the first of
    which is bin `first_bin[i]` after admission. Step k closes `elapsed_hours` = (first_bin + k + 1) bins
    after admission, and never later than the stay's own end.
    """

    stays: pd.DataFrame
    variables: tuple[str, ...]
    bin_hours: int
    single_step: bool
    steps: np.ndarray
    first_bin: np.ndarray
    stay: np.ndarray
    step: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.stays)

    def select(self, keep: np.ndarray) -> "StaySequences":
        """The stays where the boolean array `keep` [n] holds, in the same order."""
        rows = keep[self.stay]
        renumbered = np.cumsum(keep) - 1
        return StaySequences(
            stays=self.stays[keep].reset_index(drop=True),
            variables=self.variables,
            bin_hours=self.bin_hours,
            single_step=self.single_step,
            steps=self.steps[keep],
            first_bin=self.first_bin[keep],
            stay=renumbered[self.stay[rows]],
            step=self.step[rows],
            values=self.values[rows],
        )

    def with_variables(self, variables: Sequence[str]) -> "StaySequences":
        """The same stays with exactly these variables; one that was never observed is all NaN."""
        position = {name: index for index, name in enumerate(self.variables)}
        values = np.full((len(self.values), len(variables)), np.nan, dtype=np.float32)
        for column, name in enumerate(variables):
            if name in position:
                values[:, column] = self.values[:, position[name]]
        return StaySequences(
            self.stays, tuple(variables), self.bin_hours, self.single_step, self.steps, self.first_bin,
            self.stay, self.step, values,
        )  # fmt: skip

    def elapsed_hours(self) -> np.ndarray:
        """Hours from admission to the close of each stay's last step, float64 [n]."""
        if self.single_step:
            return np.zeros(len(self))
        closes = (self.first_bin + self.steps) * float(self.bin_hours)
        return np.minimum(closes, np.maximum(self.stays["duration_hours"].to_numpy(), 0))


def build_sequences(workspace: Workspace, as_of: date, config: Config, scope: Scope) -> SequenceSummary:
    """Bin the observations that the night `as_of` may know, and write them as shards under lake/sequences."""
    cohort = load_cohort(workspace, as_of, config, scope)
    folder = workspace.sequences(as_of)
    variables = _known_variables(workspace, cohort, config)
    rows = 0
    for shard, stays in enumerate(_shards(cohort.frame, config.sequences.shards)):
        sequenced = _with_steps(stays, config)
        binned = _bin_observations(workspace, cohort, sequenced, variables, config)
        rows += binned.num_rows
        write_table(pa.Table.from_pandas(sequenced, preserve_index=False), folder / f"stays-{shard:05d}.parquet")
        write_table(binned, folder / f"steps-{shard:05d}.parquet")
    summary = SequenceSummary(
        as_of, scope, len(cohort.frame), int(cohort.frame["is_open"].sum()), rows, len(variables)
    )
    manifest = {
        "scope": scope,
        "variables": variables,
        "bin_hours": config.sequences.bin_hours,
        "single_step": config.sequences.steps == "single",
        "shards": config.sequences.shards,
    }
    write_json(manifest, folder / MANIFEST)
    return summary


def load_sequences(folder: Path) -> StaySequences:
    """Read every shard of a sequences folder, in stay_id order within each shard."""
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    variables = manifest["variables"]
    frames, stays, steps, values = [], [], [], []
    offset = 0
    for shard in range(manifest["shards"]):
        frame = read_table(folder / f"stays-{shard:05d}.parquet").to_pandas()
        binned = read_table(folder / f"steps-{shard:05d}.parquet")
        position = pd.Index(frame["stay_id"])
        stays.append(position.get_indexer(binned.column("stay_id").to_pandas()) + offset)
        steps.append(binned.column("step").to_numpy())
        values.append(_matrix(binned, variables))
        frames.append(frame)
        offset += len(frame)
    frame = pd.concat(frames, ignore_index=True)
    return StaySequences(
        stays=frame,
        variables=tuple(variables),
        bin_hours=manifest["bin_hours"],
        single_step=manifest["single_step"],
        steps=frame["steps"].to_numpy(dtype=np.int64),
        first_bin=frame["first_bin"].to_numpy(dtype=np.int64),
        stay=np.concatenate(stays).astype(np.int64),
        step=np.concatenate(steps).astype(np.int64),
        values=np.concatenate(values).astype(np.float32, copy=False),
    )


def _matrix(binned: pa.Table, variables: list[str]) -> np.ndarray:
    matrix = np.empty((binned.num_rows, len(variables)), dtype=np.float32)
    for column, name in enumerate(variables):
        matrix[:, column] = binned.column(name).to_numpy()
    return matrix


def _shards(stays: pd.DataFrame, count: int) -> list[pd.DataFrame]:
    digest = [hashlib.sha256(patient.encode()).digest()[0] * 256 for patient in stays["patient_id"]]
    shard = np.array(digest, dtype=np.int64) // 256 % count
    return [stays[shard == index].reset_index(drop=True) for index in range(count)]


def _with_steps(stays: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Add `steps` and `first_bin`: whole bins before a discharge, and for an open stay the begun one too."""
    if config.sequences.steps == "single":
        return stays.assign(steps=np.int64(1), first_bin=np.int64(0))
    bins = stays["duration_hours"] / config.sequences.bin_hours
    counted = np.where(stays["is_open"], np.ceil(bins), np.floor(bins)).astype(np.int64)
    total = np.maximum(counted, 1)
    steps = np.minimum(total, max(config.sequences.max_hours // config.sequences.bin_hours, 1))
    return stays.assign(steps=steps, first_bin=total - steps)


def _observation_partitions(workspace: Workspace, cohort: Cohort) -> list[str]:
    """Partitions that can hold rows of the cohort: none that arrived a day or more before the first admission."""
    if cohort.frame.empty:
        return []
    first = cohort.frame["admitted_at"].min().date() - timedelta(days=1)
    folder = workspace.admitted("observations")
    return [
        str(partition_file(folder, day)) for day in partition_dates(folder) if first <= day <= cohort.as_of
    ]


def _known_variables(workspace: Workspace, cohort: Cohort, config: Config) -> list[str]:
    if config.features.variables or config.sequences.steps == "single":
        return sorted(config.features.variables)
    paths = _observation_partitions(workspace, cohort)
    if not paths:
        return []
    query = "select distinct variable from read_parquet($paths, hive_partitioning = false) order by variable"
    with connect() as database:
        return [row[0] for row in database.execute(query, {"paths": paths}).fetchall()]


def _bin_observations(
    workspace: Workspace, cohort: Cohort, stays: pd.DataFrame, variables: list[str], config: Config
) -> pa.Table:
    """The last value per stay, step and variable; at one instant the newest extract corrects an older one."""
    paths = _observation_partitions(workspace, cohort)
    if not paths or not variables or stays.empty:
        return _binned_table(stays, np.empty(0, np.int64), np.empty(0, np.int64), _no_values(variables), variables)
    query = """
        select members.position, step, names.position as variable, value from (
            select stay_id, variable,
                (epoch_us(observed_at) - start_us) // $bin_us - first_bin as step,
                arg_max(value, (observed_at, extract_date, source_file, source_row)) as value
            from read_parquet($paths, hive_partitioning = false) join members using (stay_id)
            where epoch_us(observed_at) >= start_us and epoch_us(observed_at) < end_us
            group by all
        ) join members using (stay_id) join names on names.name = variable
        where step >= 0 and step < steps
        order by members.position, step, variable
    """
    members = pd.DataFrame(
        {
            "stay_id": stays["stay_id"],
            "position": np.arange(len(stays)),
            "start_us": epoch_us(stays["admitted_at"]),
            "end_us": epoch_us(stays["end_at"]),
            "first_bin": stays["first_bin"],
            "steps": stays["steps"],
        }
    )
    names = pd.DataFrame({"name": variables, "position": np.arange(len(variables))})
    with connect() as database:
        database.register("members", pa.Table.from_pandas(members, preserve_index=False))
        database.register("names", pa.Table.from_pandas(names, preserve_index=False))
        bin_us = config.sequences.bin_hours * _MICROSECONDS_PER_HOUR
        cells = database.execute(query, {"paths": paths, "bin_us": bin_us}).fetchnumpy()
    return _pivot(stays, cells, variables)


def _pivot(stays: pd.DataFrame, cells: dict[str, Any], variables: list[str]) -> pa.Table:
    stay, step = (np.asarray(cells[name], dtype=np.int64) for name in ("position", "step"))
    starts = np.ones(len(stay), dtype=bool)
    starts[1:] = (stay[1:] != stay[:-1]) | (step[1:] != step[:-1])
    values = np.full((int(starts.sum()), len(variables)), np.nan, dtype=np.float32)
    values[np.cumsum(starts) - 1, np.asarray(cells["variable"], dtype=np.int64)] = cells["value"]
    return _binned_table(stays, stay[starts], step[starts], values, variables)


def _no_values(variables: list[str]) -> np.ndarray:
    return np.empty((0, len(variables)), dtype=np.float32)


def _binned_table(
    stays: pd.DataFrame, stay: np.ndarray, step: np.ndarray, values: np.ndarray, variables: list[str]
) -> pa.Table:
    columns: dict[str, Any] = {
        "stay_id": pa.array(stays["stay_id"].to_numpy(dtype=object)[stay], pa.string()),
        "step": pa.array(step, pa.int32()),
    }
    columns |= {name: pa.array(values[:, index], pa.float32()) for index, name in enumerate(variables)}
    return pa.table(columns)


def input_hashes(sequences: StaySequences, numeric: list[str], categorical: list[str]) -> list[str]:
    """A SHA-256 per stay over everything that a model may see of it: statics, elapsed time and bins."""
    boundaries = np.searchsorted(sequences.stay, np.arange(len(sequences) + 1))
    elapsed = sequences.elapsed_hours()
    statics = sequences.stays.reindex(columns=[*numeric, *categorical]).to_dict("records")
    names = "\x1f".join(sequences.variables).encode()
    hashes = []
    for index, static in enumerate(statics):
        rows = slice(boundaries[index], boundaries[index + 1])
        digest = hashlib.sha256(names)
        digest.update(repr((sorted(static.items()), float(elapsed[index]))).encode())
        digest.update(sequences.step[rows].tobytes())
        digest.update(sequences.values[rows].tobytes())
        hashes.append(digest.hexdigest())
    return hashes


def stored_scope(folder: Path) -> Scope | None:
    """The scope of the sequences in `folder`, or None when there are none."""
    manifest = folder / MANIFEST
    return read_json(manifest)["scope"] if manifest.is_file() else None
