"""Which partitions of observations a night has to read."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from medlstm.lake.files import Workspace, partition_dates, partition_file, partitions_until, row_count
from medlstm.lake.partition_facts import rows_of
from medlstm.sequences.cohort import Cohort
from medlstm.sequences.row_index import RowIndex, read_variables
from medlstm.sequences.row_ledger import RowCounts
from medlstm.sequences.shard_plan import Shard
from medlstm.settings.workspace import Config


def cohort_partitions(workspace: Workspace, cohort: Cohort, config: Config) -> list[Path]:
    """Partitions that can hold rows of the cohort: none that arrived a day or more before what counts of the first
    admission."""
    if cohort.frame.empty:
        return []
    early = timedelta(hours=config.sequences.pre_admission_hours)
    first = (cohort.frame["admitted_at"].min() - early).date() - timedelta(days=1)
    folder = workspace.admitted("observations")
    return [partition_file(folder, day) for day in partition_dates(folder) if first <= day <= cohort.known_as_of]


def open_partitions(workspace: Workspace, cohort: Cohort, config: Config, counts: RowCounts) -> list[Path]:
    """Those that are read where only stays in a bed are built: theirs, and the newest, of which the night has to know
    what share meets no stay; the others are counted by their footers."""
    known = partitions_until(workspace.admitted("observations"), cohort.known_as_of)
    chosen = {*cohort_partitions(workspace, cohort, config), *known[-config.contracts.volume_dates - 1 :]}
    wanted = [path for path in known if path in chosen]
    counts.others["not_read"] += rows_of(workspace, "observations", known) - sum(row_count(path) for path in wanted)
    return wanted


def shard_partitions(workspace: Workspace, shards: Sequence[Shard], index: RowIndex) -> list[Path]:
    """Those that hold a row of the shards' stays."""
    stays = np.concatenate([one.members for one in shards]) if shards else np.empty(0, dtype=np.int64)
    return [partition_file(workspace.admitted("observations"), day) for day in sorted(index.days_of(stays))]


def known_variables(workspace: Workspace, cohort: Cohort, config: Config) -> list[str]:
    if config.features.variables or config.sequences.steps == "single":
        return sorted(config.features.variables)
    paths = cohort_partitions(workspace, cohort, config)
    return read_variables(workspace, paths, config.workspace.memory_limit_gb / 2) if paths else []
