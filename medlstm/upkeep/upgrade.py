"""A lake that an earlier version wrote, converted: every partition file without the column that its folder tells.

The files of one date are written beside the old ones, recorded, and then put in place, date by date; the mark of the
format comes last. So an upgrade that was killed is run again: it finds what is left to do by the files themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.contracts.raw_to_admitted import contract_report_file
from medlstm.ingest.delivered_files import read_delivery, write_delivery
from medlstm.lake.audit_log import append_audit, read_audit, this_process
from medlstm.lake.date_lock import date_lock, lake_lock, wait_for_runs
from medlstm.lake.files import (
    StagedTables,
    Workspace,
    WrittenFile,
    partition_dates,
    partition_file,
    read_json,
    read_table,
    sha256_of,
    write_json,
    write_table,
)
from medlstm.lake.format import FORMAT, found_format, mark_format
from medlstm.lake.schemas import PREDICTIONS_SCHEMA, TABLES, dictionary_schema
from medlstm.upkeep.inspection import table_folders


@dataclass(frozen=True)
class UpgradeSummary:
    """The lake's format now; how many files were converted and how many had been before; files without a footer, by
    their paths within the workspace, which were left."""

    format: int
    converted: int
    already: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """A partition's file; `streamed`: written row group by row group, and on record by its hash."""

    path: Path
    streamed: bool


@dataclass
class _Found:
    converted: int = 0
    already: int = 0
    unreadable: tuple[str, ...] = ()


def upgrade_lake(workspace: Workspace, run: str | None = None) -> UpgradeSummary:
    """Convert the lake to this version's format; nothing is done to one that has it. `run` names the run in the audit
    log.

    Waits for runs that are at work. Raises DateLocked where one does not end, ConfigError for a lake of a later
    version, MedlstmError where a row has another date than its folder.
    """
    with lake_lock(workspace):
        found = _Found()
        if found_format(workspace) not in (FORMAT, None):
            wait_for_runs(workspace)
            recorded = _recorded_hashes(workspace)
            for day, files in sorted(_files_by_date(workspace).items()):
                # As a night takes them, in this order.
                with date_lock(workspace, "as_of", day), date_lock(workspace, "extract_date", day):
                    _upgrade_date(workspace, day, files, recorded, run or this_process(), found)
        mark_format(workspace)
    return UpgradeSummary(FORMAT, found.converted, found.already, found.unreadable)


def _files_by_date(workspace: Workspace) -> dict[date, list[_File]]:
    files: dict[date, list[_File]] = {}
    for _, table, folder, key in table_folders(workspace):
        for day in partition_dates(folder):
            files.setdefault(day, []).append(_File(partition_file(folder, day, key), table in TABLES))
    return files


def _recorded_hashes(workspace: Workspace) -> dict[str, str]:
    """What was written as each path last, by the audit log."""
    return {one["path"]: one["sha256"] for line in read_audit(workspace) for one in line["written"]}


def _upgrade_date(
    workspace: Workspace, day: date, files: list[_File], recorded: dict[str, str], run: str, found: _Found
) -> None:
    left = list(_left(workspace, files, found))
    streamed = [one.path for one in left if one.streamed]
    with StagedTables() as staged:
        for path in streamed:
            _convert(path, staged)
        written = [staged.seal(path) for path in streamed]
        _record(workspace, day, written, recorded, run)
        staged.commit(streamed)
    for one in left:
        if not one.streamed:
            _convert_whole(one.path, workspace)
    found.converted += len(left)


def _left(workspace: Workspace, files: list[_File], found: _Found) -> Iterator[_File]:
    """The files that are not yet converted."""
    for one in files:
        try:
            names = pq.read_schema(one.path).names
        except (pa.ArrowException, OSError):
            found.unreadable += (one.path.relative_to(workspace.root).as_posix(),)
            continue
        key = one.path.parent.name.split("=")[0]
        if key in names:
            yield one
        else:
            found.already += 1


def _convert(path: Path, staged: StagedTables) -> None:
    """Write the new file beside the old one, as the old one was written: row groups, dictionaries and statistics."""
    texts = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        staged.open(path, dictionary_schema(file.schema_arrow), _unsearched(file.metadata))
        for group in range(file.num_row_groups):
            staged.write(path, file.read_row_group(group, use_threads=False))


def _unsearched(metadata: pq.FileMetaData) -> list[str]:
    """The columns without statistics."""
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    columns = (group.column(place) for place in range(group.num_columns))
    return [column.path_in_schema for column in columns if column.statistics is None]


def _record(
    workspace: Workspace, day: date, written: list[WrittenFile], recorded: dict[str, str], run: str
) -> None:
    """The new hashes wherever the old ones are on record. A file that was not what the audit log says it was stays
    so."""
    old = [sha256_of(one.path) for one in written]
    names = [one.path.relative_to(workspace.root).as_posix() for one in written]
    sound = [one for one, name, sha256 in zip(written, names, old, strict=True) if recorded.get(name) == sha256]
    if sound:
        append_audit(workspace, "upgrade", day, run, sound)
    new = {sha256: one.sha256 for sha256, one in zip(old, written, strict=True)}

    def renewed(raw: dict[str, str]) -> dict[str, str]:
        return {table: new.get(sha256, sha256) for table, sha256 in raw.items()}

    delivery, report = read_delivery(workspace, day), contract_report_file(workspace, day)
    if delivery:
        write_delivery(workspace, replace(delivery, raw=renewed(delivery.raw)))
    judged = read_json(report) if report.is_file() else {}
    if "raw" in judged:
        write_json(judged | {"raw": renewed(judged["raw"])}, report)


def _convert_whole(path: Path, workspace: Workspace) -> None:
    table = read_table(path)
    write_table(_as_predicted_now(table) if path.parents[1] == workspace.predictions else table, path)


def _as_predicted_now(predictions: pa.Table) -> pa.Table:
    """With the columns that were added since, of nulls: readers of the folder ask for the same ones in each file."""
    others = [field for field in predictions.schema if field.name not in PREDICTIONS_SCHEMA.names]
    schema = pa.schema([*PREDICTIONS_SCHEMA, *others])
    columns = [
        predictions.column(field.name).cast(field.type)
        if field.name in predictions.column_names
        else pa.nulls(predictions.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
