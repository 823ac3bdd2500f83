"""How many rows some partitions hold, without opening each file every night.

What was counted is kept beside the lake's other indexes with the size of the file and the time of its last change, and
counts for as long as these are the same.
"""

from collections.abc import Sequence
from pathlib import Path

from medlstm.lake.files import Workspace, read_json, row_count, write_json
from medlstm.lake.partitions import partition_identity

_WORTH_IT = 50


def rows_of(workspace: Workspace, table: str, paths: Sequence[Path]) -> int:
    """The rows of all these partitions of an admitted table, by their footers."""
    index = workspace.indexes / table / "rows.json"
    known = _read(index)
    identities = [partition_identity(path) for path in paths]
    counted = {one: known[one] if one in known else row_count(path)
               for one, path in zip(identities, paths, strict=True)}  # fmt: skip
    if len(counted.keys() - known.keys()) >= _WORTH_IT:
        write_json(counted, index, indent=None)
    return sum(counted.values())


def _read(index: Path) -> dict[str, int]:
    """What was counted; nothing where the index is missing, or is none."""
    if not index.is_file():
        return {}
    try:
        content = read_json(index)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
