"""Events to binned sequences: one row per stay and observed bin, in Parquet shards by patient."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.lake.database import connect
from medlstm.lake.files import (
    StagedTables,
    Workspace,
    partition_dates,
    partition_file,
    remove,
    write_json,
    write_table,
)
from medlstm.lake.prefetch import prefetched
from medlstm.lake.schemas import SEQUENCES_MANIFEST
from medlstm.sequences.binning import BinnedStays, BinningPlan, bin_observations
from medlstm.sequences.cohort import Cohort, Scope, load_cohort
from medlstm.settings.workspace import Config
from medlstm.values.instants import epoch_us


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
class ShardCounts:
    """What some of the shards hold."""

    stays: int
    open_stays: int
    rows: int
    variables: tuple[str, ...]


def build_sequences(workspace: Workspace, as_of: date, config: Config, scope: Scope) -> SequenceSummary:
    """Bin the observations that the night `as_of` may know, and write them as shards under lake/sequences.

    The same as `build_shards` for all shards, then `finish_sequences`.
    """
    counts = build_shards(workspace, as_of, config, scope, range(config.sequences.shards))
    return finish_sequences(workspace, as_of, config, scope, [counts])


def build_shards(
    workspace: Workspace, as_of: date, config: Config, scope: Scope, shards: Sequence[int]
) -> ShardCounts:
    """Write some shards (numbers from 0) in one pass over the observations; until `finish_sequences` none is readable.

    Shards are independent: several processes may build different ones, and the files are the same as by one.
    """
    cohort = load_cohort(workspace, as_of, config, scope)
    folder = workspace.sequences(as_of)
    variables = _known_variables(workspace, cohort, config)
    stays = _with_steps(cohort.frame, config)
    shard_of = _shard_numbers(stays["patient_id"], config.sequences.shards)
    members = [np.flatnonzero(shard_of == shard) for shard in shards]
    schema = _steps_schema(variables)
    ids = pa.array(stays["stay_id"], pa.string())
    rows = 0
    remove(folder / SEQUENCES_MANIFEST)
    with StagedTables() as staged:
        paths = {shard: folder / f"steps-{shard:05d}.parquet" for shard in shards}
        for path in paths.values():
            staged.open(path, schema, unsearched=variables)
        for binned in prefetched(_binned(workspace, cohort, stays, variables, members, config)):
            staged.write(paths[int(shard_of[binned.stay[0]])], _steps_table(binned, ids, schema))
            rows += len(binned.stay)
        for shard, numbers in zip(shards, members, strict=True):
            of_shard = stays.iloc[numbers].reset_index(drop=True)
            write_table(pa.Table.from_pandas(of_shard, preserve_index=False), folder / f"stays-{shard:05d}.parquet")
        staged.commit(list(paths.values()))
    known = stays.iloc[np.concatenate(members)]
    return ShardCounts(len(known), int(known["is_open"].sum()), rows, tuple(variables))


def binned_stays(workspace: Workspace, cohort: Cohort, config: Config) -> Iterator[BinnedStays]:
    """The binned rows of all stays of a cohort, without writing them."""
    stays = _with_steps(cohort.frame, config)
    variables = _known_variables(workspace, cohort, config)
    return _binned(workspace, cohort, stays, variables, [np.arange(len(stays))], config)


def finish_sequences(
    workspace: Workspace, as_of: date, config: Config, scope: Scope, counts: Sequence[ShardCounts]
) -> SequenceSummary:
    """Write the manifest that makes the shards of `as_of` readable; `counts` are those of all of them."""
    variables = list(counts[0].variables)
    manifest = {
        "scope": scope,
        "variables": variables,
        "bin_hours": config.sequences.bin_hours,
        "single_step": config.sequences.steps == "single",
        "shards": config.sequences.shards,
    }
    write_json(manifest, workspace.sequences(as_of) / SEQUENCES_MANIFEST)
    return SequenceSummary(
        as_of, scope, sum(one.stays for one in counts), sum(one.open_stays for one in counts),
        sum(one.rows for one in counts), len(variables),
    )  # fmt: skip


def _shard_numbers(patient_ids: pd.Series, count: int) -> np.ndarray:
    digests = [hashlib.sha256(patient.encode()).digest()[0] for patient in patient_ids]
    return np.array(digests, dtype=np.int64) % count


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
    with connect(workspace, config.workspace.memory_limit_gb / 2) as database:
        return [row[0] for row in database.execute(query, {"paths": paths}).fetchall()]


def _binned(
    workspace: Workspace,
    cohort: Cohort,
    stays: pd.DataFrame,
    variables: list[str],
    members: list[np.ndarray],
    config: Config,
) -> Iterator[BinnedStays]:
    paths = [Path(path) for path in _observation_partitions(workspace, cohort)]
    if not paths or not variables or stays.empty:
        return iter(())
    plan = BinningPlan(
        stay_ids=stays["stay_id"].to_numpy(dtype=object),
        start_us=epoch_us(stays["admitted_at"]),
        end_us=epoch_us(stays["end_at"]),
        first_bin=stays["first_bin"].to_numpy(dtype=np.int64),
        steps=stays["steps"].to_numpy(dtype=np.int64),
        variables=tuple(variables),
        bin_hours=config.sequences.bin_hours,
    )
    memory_bytes = int(config.workspace.memory_limit_gb * 1e9)
    return bin_observations(paths, plan, members, memory_bytes, workspace.scratch)


def _steps_schema(variables: list[str]) -> pa.Schema:
    """stay_id (a dictionary to the writer, text to readers), step int32, and each variable float32."""
    fields = [pa.field("stay_id", pa.dictionary(pa.int32(), pa.string())), pa.field("step", pa.int32())]
    return pa.schema([*fields, *(pa.field(name, pa.float32()) for name in variables)])


def _steps_table(binned: BinnedStays, ids: pa.Array, schema: pa.Schema) -> pa.Table:
    stays, code = np.unique(binned.stay, return_inverse=True)
    names = pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), ids.take(pa.array(stays)))
    columns = [names, pa.array(binned.step), *(pa.array(values) for values in binned.values)]
    return pa.table(columns, schema=schema)
