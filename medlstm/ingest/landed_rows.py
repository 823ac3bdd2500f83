"""What the sources hand over of a delivery's folders; names of files that came late begin with their folder's date."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from medlstm.ingest.delivered_files import DeliveryPlan
from medlstm.ingest.recalled_facts import recall
from medlstm.lake.files import Workspace
from medlstm.settings.source import CsvSource
from medlstm.settings.workspace import Config
from medlstm.sources.csv import kept_rows
from medlstm.sources.kept_rows import KeptRows
from medlstm.sources.read_landing import read_landing, without_replayed
from medlstm.sources.source_batch import (
    FilesRead,
    KnownRows,
    Landed,
    LandingFolder,
    LandingWarning,
    LeftOut,
    RowBatch,
    UnreadableFile,
)


def landed_rows(workspace: Workspace, plan: DeliveryPlan, config: Config) -> Iterator[Landed]:
    """Rows and reports of every folder; joins look up what was kept up to the extract date."""
    known = KnownRows(workspace, plan.extract_date)
    recalled = recall(workspace, plan.extract_date, config)
    for folder in plan.folders:
        if _is_late(plan, folder):
            yield LandingWarning(
                f"{plan.extract_date}: {len(folder.files)} files came late for {folder.extract_date}; nights before "
                f"{plan.extract_date} do not know them"
            )
        for item in read_landing(replace(folder, known=known, recalled=recalled), config):
            yield _prefixed(item, _prefix(plan, folder))


def landed_kept_rows(plan: DeliveryPlan, config: Config) -> Iterator[KeptRows | Landed]:
    """The rows that joins keep of every folder, the later ones last, and how reading their files went: what came late
    for earlier dates is older than the date's own."""
    if not isinstance(config.source, CsvSource):
        return
    own, *late = plan.folders
    for folder in (*late, own):
        prefix = _prefix(plan, folder)
        for item in kept_rows(without_replayed(folder), config):
            if isinstance(item, KeptRows):
                yield KeptRows(item.name, _with_prefix(item.rows, prefix))
            else:
                yield _prefixed(item, prefix)


def _is_late(plan: DeliveryPlan, folder: LandingFolder) -> bool:
    return folder.extract_date != plan.extract_date


def _prefix(plan: DeliveryPlan, folder: LandingFolder) -> str:
    return f"{folder.extract_date}/" if _is_late(plan, folder) else ""


def _prefixed(item: Landed, prefix: str) -> Landed:
    match item:
        case RowBatch(table, rows):
            return RowBatch(table, _with_prefix(rows, prefix))
        case UnreadableFile(source_file, reason):
            return UnreadableFile(prefix + source_file, reason)
        case FilesRead(source_files):
            return FilesRead(tuple(prefix + name for name in source_files))
        case LeftOut() | LandingWarning():
            return item


def _with_prefix(rows: pa.Table, prefix: str) -> pa.Table:
    if not prefix:
        return rows
    place = rows.column_names.index("source_file")
    names = pc.binary_join_element_wise(prefix, rows.column("source_file").cast(pa.string()), "")
    return rows.set_column(place, "source_file", names)
