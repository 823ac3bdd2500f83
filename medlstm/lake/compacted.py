"""Many partitions in one file, so that a night of a lake of a thousand dates opens a few dozen.

A compacted file holds the rows of a table's oldest partitions with their dates. It is an index and never the truth: its
name tells of which files it was made (names, sizes, times of the last change), and it is used where these are still the
very same; else it is made anew. No result depends on whether there is one.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medlstm.lake.database import connect
from medlstm.lake.files import Workspace, put_in_place, remove
from medlstm.lake.partitions import DATED_ROWS_SQL, partition_identity

# Younger partitions stay apart: late rows change no closed date, but a date may be taken in again.
_LEFT_APART = 20
_WORTH_IT = 80
_KEPT = 2
_NAME = re.compile(r"(\d+)-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True)
class DatedRows:
    """SQL for the rows of some partitions with their extract_date, and the files that it names as parameters."""

    sql: str
    parameters: dict[str, list[str]]


def dated_rows(
    workspace: Workspace, name: str, paths: Sequence[Path], memory_limit_gb: float, rows_sql: str = DATED_ROWS_SQL
) -> DatedRows:
    """The rows of the admitted partitions `paths` (at least one, oldest first, none left out) of a table, or what
    `rows_sql` makes of those of each partition by itself; `name` is that of the index."""
    identities = [partition_identity(path) for path in paths]
    folder = workspace.indexes / name
    covered = _covered(folder, identities)
    if len(paths) - covered >= _WORTH_IT:
        before, covered = covered, len(paths) - _LEFT_APART
        _compact(workspace, _rows(folder, paths[:covered], identities, before, rows_sql),
                 _path(folder, identities[:covered]), memory_limit_gb)  # fmt: skip
    return _rows(folder, paths, identities, covered, rows_sql)


def _rows(
    folder: Path, paths: Sequence[Path], identities: Sequence[str], covered: int, rows_sql: str
) -> DatedRows:
    """The first of the partitions from their compacted file, the others from their own."""
    if not covered:
        return DatedRows(rows_sql, {"paths": [str(path) for path in paths]})
    compacted = "select * from read_parquet($compacted, hive_partitioning = false)"
    parameters = {
        "paths": [str(path) for path in paths[covered:]],
        "compacted": [str(_path(folder, identities[:covered]))],
    }
    return DatedRows(f"({compacted}) union all by name ({rows_sql})", parameters)


def _path(folder: Path, identities: Sequence[str]) -> Path:
    digest = hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16]
    return folder / f"{len(identities)}-{digest}.parquet"


def _covered(folder: Path, identities: Sequence[str]) -> int:
    """How many of the partitions the largest compacted file holds that is made of just these."""
    if not folder.is_dir():
        return 0
    # The newest partition always stands apart, so that there is one to read.
    counts = sorted((count for count in _counts(folder) if count < len(identities)), reverse=True)
    return next((count for count in counts if _path(folder, identities[:count]).is_file()), 0)


def _counts(folder: Path) -> list[int]:
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return [int(match.group(1)) for match in found if match]


def _compact(workspace: Workspace, rows: DatedRows, target: Path, memory_limit_gb: float) -> None:
    with connect(workspace, memory_limit_gb) as database, put_in_place(target) as temporary:
        quoted = str(temporary).replace("'", "''")
        # One thread writes the rows in the order of the files, so that equal lakes have equal indexes.
        database.execute("set threads = 1").fetchall()
        database.execute(f"copy ({rows.sql}) to '{quoted}' (format parquet, compression zstd)",
                         rows.parameters).fetchall()  # fmt: skip
    others = [path for path in target.parent.iterdir() if _NAME.fullmatch(path.name) and path != target]
    # Another run may be about to read the one before.
    for path in sorted(others, key=lambda one: one.stat().st_mtime_ns, reverse=True)[_KEPT - 1 :]:
        remove(path)
