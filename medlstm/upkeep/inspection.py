"""What lies in the lake, what changed between two extracts, and whether every file is sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.contracts.raw_to_admitted import read_contract_reports
from medlstm.errors import MedlstmError
from medlstm.lake.audit_log import read_audit
from medlstm.lake.database import connect
from medlstm.lake.file_order import with_file_place
from medlstm.lake.files import Workspace, partition_dates, partition_file, sha256_of, table_schema
from medlstm.lake.schemas import OBSERVATIONS_SCHEMA, PREDICTIONS_SCHEMA, TABLES, raw_schema, stays_schema
from medlstm.settings.workspace import Config
from medlstm.sources.source_batch import REMEMBERED_SCHEMA

_KEYS = {"stays": ("stay_id",), "observations": ("stay_id", "observed_at", "variable")}
_COMPARED = {"stays": ("patient_id", "admitted_at", "discharged_at", "died"), "observations": ("value",)}


@dataclass(frozen=True)
class Partition:
    """One file of the lake: `layer` raw, admitted, quarantine, reference, remembered or predictions."""

    layer: str
    table: str
    day: date
    rows: int
    bytes: int


@dataclass(frozen=True)
class ExtractDiff:
    """Keys of a table in two extracts, by their newest row in each; `changed_columns` counts rows by column."""

    table: str
    before: date
    after: date
    only_before: int
    only_after: int
    unchanged: int
    changed: int
    retracted: int
    changed_columns: dict[str, int]


@dataclass(frozen=True)
class Problem:
    """A file that is not as it should be, by its path within the workspace, and what to do."""

    path: str
    problem: str


@dataclass(frozen=True)
class LakeCheck:
    """How many files were looked at, and what is wrong with some of them."""

    files: int
    problems: tuple[Problem, ...]


def list_lake(workspace: Workspace) -> tuple[Partition, ...]:
    """Every partition file with its rows and bytes, by layer, table and date; files without a footer are left out."""
    found = []
    for layer, table, folder, key in table_folders(workspace):
        for day in partition_dates(folder):
            path = partition_file(folder, day, key)
            if _footer(path) is not None:
                found.append(Partition(layer, table, day, pq.read_metadata(path).num_rows, path.stat().st_size))
    return tuple(found)


def table_folders(workspace: Workspace) -> Iterator[tuple[str, str, Path, str]]:
    """(layer, table, folder, key of its partitions) of every table."""
    for table in TABLES:
        yield "raw", table, workspace.raw(table), "extract_date"
        yield "admitted", table, workspace.admitted(table), "extract_date"
    for table in (*TABLES, "files"):
        yield "quarantine", table, workspace.quarantine(table), "extract_date"
    for folder in sorted(workspace.references.iterdir()) if workspace.references.is_dir() else ():
        yield "reference", folder.name, folder, "extract_date"
    if workspace.remembered.is_dir():
        yield "remembered", "facts", workspace.remembered, "extract_date"
    yield "predictions", "predictions", workspace.predictions, "as_of"


def diff_extracts(workspace: Workspace, table: str, before: date, after: date, config: Config) -> ExtractDiff:
    """What changed between two admitted extracts of `stays` or `observations`: counts only.

    Raises MedlstmError where an extract does not exist.
    """
    if table not in TABLES:
        raise MedlstmError(f"table = {table!r}: must be one of {', '.join(TABLES)}")
    paths = [partition_file(workspace.admitted(table), day) for day in (before, after)]
    for path, day in zip(paths, (before, after), strict=True):
        if not path.is_file():
            raise MedlstmError(f"{path}: nothing of {day} was admitted; `medlstm lake ls` shows what there is")
    keys, columns = _KEYS[table], [*_COMPARED[table]]
    if table == "stays":
        columns += [*config.features.numeric, *config.features.categorical]
    columns = [name for name in columns if all(name in pq.read_schema(path).names for path in paths)]
    with connect(workspace, config.workspace.memory_limit_gb / 2) as database:
        for name, path in zip(("old", "new"), paths, strict=True):
            database.execute(f"create view {name} as {_newest(keys, path)}")
        counts = database.execute(_comparison(keys, columns)).fetchone()
    assert counts is not None
    only_before, only_after, unchanged, changed, retracted, *by_column = map(int, counts)
    return ExtractDiff(
        table, before, after, only_before, only_after, unchanged, changed, retracted,
        dict(zip(columns, by_column, strict=True)),
    )  # fmt: skip


def _newest(keys: tuple[str, ...], path: Path) -> str:
    mark = "" if "retracted" in pq.read_schema(path).names else ", null::boolean as retracted"
    rows = with_file_place(f"from read_parquet('{_quoted(path)}', hive_partitioning = false)")
    return (
        f"select * exclude (version, file_place) from (select *{mark}, "
        f"row_number() over (partition by {', '.join(keys)} order by file_place desc, source_row desc) as version "
        f"from ({rows})) "
        "where version = 1"
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _comparison(keys: tuple[str, ...], columns: list[str]) -> str:
    differs = [f'old."{name}" is distinct from new."{name}"' for name in columns]
    both = "old.stay_id is not null and new.stay_id is not null"
    back = "coalesce(new.retracted, false) and not coalesce(old.retracted, false)"
    counts = [
        "count(*) filter (new.stay_id is null)",
        "count(*) filter (old.stay_id is null)",
        f"count(*) filter ({both} and not ({back}) and not ({' or '.join(differs)}))",
        f"count(*) filter ({both} and not ({back}) and ({' or '.join(differs)}))",
        f"count(*) filter ({both} and {back})",
        *(f"count(*) filter ({both} and not ({back}) and {one})" for one in differs),
    ]
    return f"select {', '.join(counts)} from old full join new using ({', '.join(keys)})"


def verify_lake(workspace: Workspace, config: Config) -> LakeCheck:
    """Each file's footer, columns and hash (by the audit log), each date's counts, and leftovers of killed runs."""
    problems: list[Problem] = []
    hashes = {
        one["path"]: one["sha256"] for line in read_audit(workspace) for one in line["written"]
    }
    files = 0
    for layer, table, folder, key in table_folders(workspace):
        for day in partition_dates(folder):
            path = partition_file(folder, day, key)
            files += 1
            name = path.relative_to(workspace.root).as_posix()
            expected = _expected(layer, table, config)
            problems += [Problem(name, one) for one in _file_problems(path, expected, key, hashes.get(name))]
    problems += _count_problems(workspace)
    leftovers = (workspace.root / "lake").rglob("*.tmp")
    problems += [
        Problem(path.relative_to(workspace.root).as_posix(), "left behind by a killed run; running the date again, or "
                "removing the file, cleans up") for path in sorted(leftovers)
    ]  # fmt: skip
    return LakeCheck(files, tuple(problems))


def _footer(path: Path) -> pq.FileMetaData | None:
    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return None


def _file_problems(path: Path, expected: pa.Schema, key: str, sha256: str | None) -> Iterator[str]:
    if _footer(path) is None:
        yield "no readable footer; run the date again"
        return
    if key in pq.read_schema(path).names:
        yield f"the column {key} is in the file, though its folder tells it; run the date again"
    found = table_schema(path)
    for field in expected:
        if field.name not in found.names:
            yield f"the column {field.name} is missing; run the date again"
        elif found.field(field.name).type != field.type:
            yield f"the column {field.name} is {found.field(field.name).type}, not {field.type}; run the date again"
    if sha256 is not None and sha256_of(path) != sha256:
        yield "not the bytes that the audit log says were written: another program changed the file, or it is damaged"


def _expected(layer: str, table: str, config: Config) -> pa.Schema:
    if layer == "admitted" and table == "stays":
        return stays_schema(config.features.numeric, config.features.categorical)
    if layer == "admitted":
        return OBSERVATIONS_SCHEMA
    if layer == "predictions":
        return PREDICTIONS_SCHEMA
    if layer == "reference":
        return pa.schema([("source_file", pa.string()), ("source_row", pa.int64())])
    if layer == "remembered":
        return REMEMBERED_SCHEMA
    if table == "files":
        return pa.schema([("source_file", pa.string()), ("reason", pa.string())])
    marks = [("rule", pa.string()), ("reason", pa.string())] if layer == "quarantine" else []
    return pa.schema([*raw_schema(["stay_id"]), *(pa.field(*mark) for mark in marks)])


def _count_problems(workspace: Workspace) -> Iterator[Problem]:
    """Dates whose files do not hold what their contract report says."""
    for day in partition_dates(workspace.admitted(TABLES[-1])):
        for report in read_contract_reports(workspace, day):
            table = report.table
            said = {workspace.raw(table): report.rows_in, workspace.admitted(table): report.admitted,
                    workspace.quarantine(table): report.quarantined}  # fmt: skip
            for folder, rows in said.items():
                path = partition_file(folder, day)
                footer = _footer(path) if path.is_file() else None
                if footer is not None and footer.num_rows != rows:
                    name = path.relative_to(workspace.root).as_posix()
                    yield Problem(name, f"{footer.num_rows} rows, but its contract report counts {rows}; validate the "
                                        "date again")  # fmt: skip

