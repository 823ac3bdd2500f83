"""What is known of partitions without opening each file every night: how many rows they hold, and their hashes.

What was found is kept beside the lake's other indexes with the size of the file and the time of its last change, and
counts for as long as these are the same.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medlstm.lake.files import Workspace, read_json, row_count, sha256_of, write_json
from medlstm.lake.partitions import partition_identity

# Few are found again faster than they are written down.
_WORTH_IT = 50


def rows_of(workspace: Workspace, table: str, paths: Sequence[Path]) -> int:
    """The rows of all these partitions of an admitted table, by their footers."""
    return sum(_facts(workspace, table, "rows", paths, row_count))


def hashes_of(workspace: Workspace, table: str, paths: Sequence[Path]) -> list[str]:
    """The SHA-256 of each of these partitions of an admitted table."""
    return _facts(workspace, table, "hashes", paths, sha256_of)


def _facts(
    workspace: Workspace, table: str, name: str, paths: Sequence[Path], find: Callable[[Path], Any]
) -> list[Any]:
    index = workspace.indexes / table / f"{name}.json"
    known = _read(index)
    identities = [partition_identity(path) for path in paths]
    found = [known[one] if one in known else find(path) for one, path in zip(identities, paths, strict=True)]
    if len(set(identities) - known.keys()) >= _WORTH_IT:
        write_json(dict(zip(identities, found, strict=True)), index, indent=None)
    return found


def _read(index: Path) -> dict[str, Any]:
    """What was found; nothing where the index is missing, or is none."""
    if not index.is_file():
        return {}
    try:
        content = read_json(index)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
