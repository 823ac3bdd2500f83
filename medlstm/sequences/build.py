"""Events to binned sequences: one row per stay and observed bin, in Parquet shards by patient."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.lake.audit_log import append_audit, this_process
from medlstm.lake.files import (
    StagedTables,
    Workspace,
    partitions_until,
    remove,
    write_json,
)
from medlstm.lake.partition_facts import rows_of
from medlstm.lake.prefetch import prefetched
from medlstm.lake.schemas import SEQUENCES_MANIFEST
from medlstm.sequences.arrivals import Arrivals
from medlstm.sequences.binning import BinnedStays, bin_observations
from medlstm.sequences.cohort import Cohort, Scope, load_cohort
from medlstm.sequences.orphans import orphan_warnings
from medlstm.sequences.read_partitions import cohort_partitions, known_variables, open_partitions, shard_partitions
from medlstm.sequences.row_index import read_row_index
from medlstm.sequences.row_ledger import Ledger, RowCounts, balanced, ledger_dates, write_ledger
from medlstm.sequences.row_places import BinningPlan
from medlstm.sequences.shard_files import StepFiles, remove_others, write_static_versions, write_stays
from medlstm.sequences.shard_plan import Shard, ShardRecord, plan_shards, take_over
from medlstm.sequences.silent_stays import silent_stays
from medlstm.sequences.snapshots import read_listings, snapshot_warnings
from medlstm.sequences.stay_versions import StaticVersions, known_when
from medlstm.settings.workspace import Config
from medlstm.values.instants import epoch_us


@dataclass(frozen=True)
class SequenceSummary:
    """What a preprocess step made: counts only. `observations`: what became of every admitted one."""

    as_of: date
    scope: Scope
    stays: int
    open_stays: int
    rows: int
    variables: int
    observations: Ledger
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardCounts:
    """What some of the shards hold; `shards` by name."""

    shards: Mapping[str, ShardRecord]
    stays: int
    open_stays: int
    variables: tuple[str, ...]
    observations: RowCounts
    silent_stays: int
    appeared_late: int
    moved: int
    told_with_end: dict[str, tuple[int, int]]
    cutoffs_us: tuple[int, ...]


def build_sequences(
    workspace: Workspace,
    as_of: date,
    config: Config,
    scope: Scope,
    run: str | None = None,
    known_as_of: date | None = None,
) -> SequenceSummary:
    """Bin the observations that the night `as_of` may know, and write them as shards under lake/sequences.

    The same as `build_shards` for all shards, then `finish_sequences`. `known_as_of`: see `load_cohort`.
    """
    counts = build_shards(workspace, as_of, config, scope, range(config.sequences.shards), known_as_of)
    return finish_sequences(workspace, as_of, config, scope, [counts], run, known_as_of)


def build_shards(
    workspace: Workspace,
    as_of: date,
    config: Config,
    scope: Scope,
    shards: Sequence[int],
    known_as_of: date | None = None,
) -> ShardCounts:
    """Write some shards (numbers from 0) in one pass over the observations; until `finish_sequences` none is readable.

    Shards are independent: several processes may build different ones, and the files are the same as by one.
    """
    cohort = load_cohort(workspace, as_of, config, scope, known_as_of)
    known = partitions_until(workspace.admitted("observations"), cohort.known_as_of)
    memory_limit_gb = config.workspace.memory_limit_gb / 2
    index = read_row_index(workspace, known, cohort.frame["stay_id"], memory_limit_gb) if scope == "all" else None
    variables = known_variables(workspace, cohort, config)
    when = known_when(workspace, cohort, config)
    stays = _as_last_known(_with_steps(cohort.frame, when.arrivals, config), when.statics)
    for name in sorted(config.features.known_from.keys() & set(stays)):
        stays[name] = stays[name].mask(when.ended_at_first)
    planned = plan_shards(workspace, cohort, stays, when, index, variables, config, shards)
    remove(workspace.sequences(as_of) / SEQUENCES_MANIFEST)
    linked = take_over(workspace, as_of, planned)
    fresh = [one for one in planned if one.name not in linked]
    passed = RowCounts()
    if index:
        partitions = shard_partitions(workspace, fresh, index)
    else:
        partitions = open_partitions(workspace, cohort, config, passed)
    plan = _plan(cohort, stays, when.arrivals, variables, config)
    rows = _write_shards(workspace, as_of, fresh, partitions, plan, stays, when.statics, config, passed)
    made = {one.name: ShardRecord(one.key, rows[one.name], passed.of_group(number))
            for number, one in enumerate(fresh)}  # fmt: skip
    counts = index.others(cohort.others) if index else passed
    counts.groups = {number: one.observations for number, one in enumerate([*linked.values(), *made.values()])}
    seen = stays.iloc[np.concatenate([one.members for one in planned])]
    return ShardCounts(
        linked | made, len(seen), int(seen["is_open"].sum()), tuple(variables), counts,
        silent_stays(workspace, cohort, seen, config), when.appeared_late, when.moved, when.told_with_end,
        tuple(when.arrivals.nights.cutoffs_us.tolist()),
    )  # fmt: skip


def _write_shards(
    workspace: Workspace,
    as_of: date,
    shards: Sequence[Shard],
    partitions: list[Path],
    plan: BinningPlan,
    stays: pd.DataFrame,
    statics: StaticVersions,
    config: Config,
    counts: RowCounts,
) -> Counter[str]:
    """Write these shards in one pass; returns the rows of steps of each."""
    folder, rows = workspace.sequences(as_of), Counter({one.name: 0 for one in shards})
    name_of = {int(stay): one.name for one in shards for stay in one.members}
    files = StepFiles(folder, [one.name for one in shards], plan.variables, pa.array(stays["stay_id"], pa.string()))
    with StagedTables() as staged:
        files.open(staged)
        members = [one.members for one in shards]
        for binned in prefetched(_binned(workspace, partitions, plan, members, config, counts)):
            name = name_of[int(binned.stay[0])]
            files.write(staged, name, binned)
            rows[name] += len(binned.stay)
        for one in shards:
            write_stays(stays.iloc[one.members], folder, one.name)
            write_static_versions(statics, stays, one.members, folder, one.name)
        files.commit(staged)
    return rows


def binned_stays(workspace: Workspace, cohort: Cohort, config: Config) -> Iterator[BinnedStays]:
    """The binned rows of all stays of a cohort, without writing them."""
    arrivals = known_when(workspace, cohort, config).arrivals
    stays = _with_steps(cohort.frame, arrivals, config)
    plan = _plan(cohort, stays, arrivals, known_variables(workspace, cohort, config), config)
    partitions = cohort_partitions(workspace, cohort, config)
    return _binned(workspace, partitions, plan, [np.arange(len(stays))], config, RowCounts())


def finish_sequences(
    workspace: Workspace,
    as_of: date,
    config: Config,
    scope: Scope,
    counts: Sequence[ShardCounts],
    run: str | None = None,
    known_as_of: date | None = None,
) -> SequenceSummary:
    """Write the ledger, and the manifest that makes the shards of `as_of` readable; `counts` are those of all of them,
    `run` names the run in the audit log.

    Raises MedlstmError where an observation is unaccounted for, ContractStopped where too many meet no stay.
    """
    variables = list(counts[0].variables)
    shards = {name: record for one in counts for name, record in one.shards.items()}
    ledger = _ledger(workspace, as_of, counts, known_as_of or as_of)
    write_ledger(ledger, workspace, as_of)
    detail = {"scope": scope, "observations": ledger.rows, "kinds": dict(ledger.kinds),
              "appeared_late": ledger.appeared_late, "moved": ledger.moved}  # fmt: skip
    append_audit(workspace, "build", as_of, run or this_process(), detail=detail)
    warnings = (
        *orphan_warnings(ledger, ledger_dates(workspace), as_of, config),
        *snapshot_warnings(read_listings(workspace, as_of, config), as_of),
        *_silence(as_of, config, counts),
    )
    manifest = {
        "scope": scope,
        "variables": variables,
        "bin_hours": config.sequences.bin_hours,
        "single_step": config.sequences.steps == "single",
        "shards": {name: {"key": one.key, "rows": one.rows, "observations": dict(one.observations)}
                   for name, one in shards.items()},
        "told_with_end": counts[0].told_with_end,
        "cutoffs_us": list(counts[0].cutoffs_us),
    }  # fmt: skip
    remove_others(workspace.sequences(as_of), shards)
    write_json(manifest, workspace.sequences(as_of) / SEQUENCES_MANIFEST)
    return SequenceSummary(
        as_of, scope, sum(one.stays for one in counts), sum(one.open_stays for one in counts),
        sum(one.rows for one in shards.values()), len(variables), ledger, warnings,
    )  # fmt: skip


def _silence(as_of: date, config: Config, counts: Sequence[ShardCounts]) -> tuple[str, ...]:
    silent, days = sum(one.silent_stays for one in counts), config.contracts.max_silent_days
    if not silent:
        return ()
    return (
        f"{as_of}: {silent} of {sum(one.open_stays for one in counts)} open stays have had no row for {days} days "
        "(contracts.max_silent_days); have they left? Where each file lists all who are in, declare snapshot = true",
    )


def _ledger(workspace: Workspace, as_of: date, counts: Sequence[ShardCounts], known_as_of: date) -> Ledger:
    """What the passes counted, held against the footers of all files that the night may know."""
    rows = rows_of(workspace, "observations", partitions_until(workspace.admitted("observations"), known_as_of))
    ledger = balanced(rows, [one.observations for one in counts], as_of)
    return replace(ledger, appeared_late=counts[0].appeared_late, moved=counts[0].moved)


def _with_steps(stays: pd.DataFrame, arrivals: Arrivals, config: Config) -> pd.DataFrame:
    """Add `steps` and `first_bin`: what nights have written of each stay, and `steps_to_end`: those of them that the
    stay lasted for."""
    if config.sequences.steps == "single":
        return stays.assign(steps=np.int64(1), first_bin=np.int64(0), steps_to_end=np.int64(1))
    every = np.arange(len(stays))
    total = np.maximum(arrivals.written(every, arrivals.nights.last), 1)
    steps = np.minimum(total, max(config.sequences.max_hours // config.sequences.bin_hours, 1))
    first_bin = total - steps
    lasted = arrivals.lasts(every, epoch_us(stays["end_at"])) - first_bin
    to_end = np.where(stays["is_open"], steps, np.clip(lasted, 1, steps))
    return stays.assign(steps=steps, first_bin=first_bin, steps_to_end=to_end)


def _as_last_known(stays: pd.DataFrame, statics: StaticVersions) -> pd.DataFrame:
    """The static features as the nights knew them at each stay's last step: what was written down with its end, or
    after it, none of them knew."""
    last = np.flatnonzero(np.append(statics.stay[1:] != statics.stay[:-1], len(statics.stay) > 0))
    known = stays.copy()
    for name in statics.frame:
        column = known[name].to_numpy(dtype=object, copy=True)
        column[statics.stay[last]] = statics.frame[name].to_numpy(dtype=object)[last]
        known[name] = pd.Series(column, index=known.index).astype(known[name].dtype)
    return known


def _plan(cohort: Cohort, stays: pd.DataFrame, arrivals: Arrivals, variables: list[str], config: Config) -> BinningPlan:
    return BinningPlan(
        stay_ids=stays["stay_id"].to_numpy(dtype=object),
        end_us=epoch_us(stays["end_at"]),
        is_open=stays["is_open"].to_numpy(dtype=bool),
        first_bin=stays["first_bin"].to_numpy(dtype=np.int64),
        steps=stays["steps"].to_numpy(dtype=np.int64),
        variables=tuple(variables),
        arrivals=arrivals,
        early_hours=config.sequences.pre_admission_hours,
        others=cohort.others,
    )


def _binned(
    workspace: Workspace,
    partitions: list[Path],
    plan: BinningPlan,
    members: list[np.ndarray],
    config: Config,
    counts: RowCounts,
) -> Iterator[BinnedStays]:
    memory_bytes = int(config.workspace.memory_limit_gb * 1e9)
    return bin_observations(partitions, plan, members, memory_bytes, workspace.scratch, counts)
