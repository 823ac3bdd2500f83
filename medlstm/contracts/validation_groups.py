"""Which dates share a validation, and how many rows are held at a time."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow.parquet as pq

from medlstm.contracts.check_rows import TableContract
from medlstm.contracts.plausible_limits import load_limits
from medlstm.contracts.raw_chunks import RawPartition, has_values
from medlstm.contracts.results import require_columns
from medlstm.contracts.suites import judges_whole_table, load_suite
from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace, partition_file, table_schema
from medlstm.lake.schemas import MINUTES_AFTER_ADMISSION, TABLES
from medlstm.settings.workspace import Config

# Rows of a chunk for each GB of the memory limit: what a chunk needs at its worst, measured.
_ROWS_PER_GB = 500_000
# Each date of a group has four files open.
_DATES_PER_GROUP = 60


def table_contracts(workspace: Workspace, config: Config) -> dict[str, TableContract]:
    limits = load_limits(config, workspace.root)
    return {table: TableContract(table, load_suite(table, config, workspace.root), limits, config) for table in TABLES}


def validation_groups(workspace: Workspace, days: Sequence[date], config: Config) -> Iterator[list[date]]:
    """Consecutive dates whose stays fit into one chunk: a validation costs as much as half a million rows, so that
    small dates share them. A rule about whole tables, and times that are counted from the admission, which differ by
    date, need a date of its own.

    Groups are independent and may be validated by different processes, except where times are counted from the
    admission: there a date needs the stays that were admitted before it.
    """
    contracts = table_contracts(workspace, config).values()
    alone = any(judges_whole_table(one) for contract in contracts for one in contract.suite.expectations)
    limit = rows_per_chunk(config)
    group: list[date] = []
    gathered = 0
    for day in days:
        stays, observations = (raw_partition(workspace, table, day) for table in TABLES)
        single = alone or counts_from_admission(observations)
        full = gathered + stays.rows() > limit or len(group) == _DATES_PER_GROUP
        if group and (single or full):
            yield group
            group, gathered = [], 0
        group.append(day)
        gathered += stays.rows()
        if single:
            yield group
            group, gathered = [], 0
    if group:
        yield group


def independent_dates(workspace: Workspace, days: Sequence[date], config: Config) -> list[list[date]]:
    """The dates in lists that different processes may validate at once, each list by `validate_dates`: the groups of
    `validation_groups`, or a single list where times are counted from the admission. Lists that follow each other may
    be joined; the files are the same.
    """
    if any(counts_from_admission(raw_partition(workspace, TABLES[-1], day)) for day in days):
        return [list(days)]
    return list(validation_groups(workspace, days, config))


def rows_per_chunk(config: Config) -> int:
    """How many rows are held at a time."""
    return int(min(config.workspace.memory_limit_gb * _ROWS_PER_GB, 1_000_000))


def raw_partition(workspace: Workspace, table: str, day: date) -> RawPartition:
    path = partition_file(workspace.raw(table), day)
    if not path.is_file():
        raise MedlstmError(f"{path}: no raw rows of {day}; run `medlstm ingest --as-of {day}`")
    require_columns(table, table_schema(path).names)
    return RawPartition(day, path)


def counts_from_admission(observations: RawPartition) -> bool:
    return has_values(pq.read_metadata(observations.path), MINUTES_AFTER_ADMISSION)
