"""Rows that joins look up, kept of each date's drop before any date is taken in that may look at them."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from medlstm.ingest.delivered_files import DeliveryPlan
from medlstm.ingest.landed_rows import landed_kept_rows
from medlstm.lake.files import StagedTables, Workspace, WrittenFile, partition_file
from medlstm.settings.workspace import Config
from medlstm.sources.kept_rows import KeptRows, kept_tables
from medlstm.sources.source_batch import Landed


@dataclass(frozen=True)
class KeptReferences:
    """What was kept of a date's files: the partitions, one for each table, and how reading went."""

    written: tuple[WrittenFile, ...] = ()
    reports: tuple[Landed, ...] = ()


def keep_references(workspace: Workspace, plan: DeliveryPlan, config: Config) -> KeptReferences:
    """Replace the partitions of a date in every reference table; one of a drop without such files has no rows."""
    tables = kept_tables(config)
    if not tables:
        return KeptReferences()
    reports: list[Landed] = []
    with StagedTables() as staged:
        paths = {table.name: reference_file(workspace, table.name, plan.extract_date) for table in tables}
        for table in tables:
            staged.open(paths[table.name], table.schema, unsearched=table.columns)
        for item in landed_kept_rows(plan, config):
            if isinstance(item, KeptRows):
                staged.write(paths[item.name], item.rows)
            else:
                reports.append(item)
        written = staged.commit(list(paths.values()))
    return KeptReferences(tuple(written), tuple(reports))


def reference_file(workspace: Workspace, table: str, day: date) -> Path:
    """The partition of a reference table."""
    return partition_file(workspace.reference(table), day)
