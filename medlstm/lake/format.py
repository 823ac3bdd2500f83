"""Which layout the lake's files have, and the mark that tells it: lake/format.json.

Format 1 (never marked): a partition's file holds the column that its folder's name tells too. Format 2: it does not.
"""

from medlstm.errors import ConfigError
from medlstm.lake.files import Workspace, read_json, write_json

FORMAT = 2
_TABLE_FOLDERS = ("raw", "quarantine", "stays", "observations", "predictions")


def found_format(workspace: Workspace) -> int | None:
    """The number of the mark; 1 for tables without one, None where there is no table yet.

    Raises ConfigError for a mark that cannot be read, and for one of a later version.
    """
    path = workspace.format
    if not path.is_file():
        lake = path.parent
        return 1 if any((lake / name).is_dir() for name in _TABLE_FOLDERS) else None
    try:
        number = read_json(path)["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'{path}: must be {{"format": {FORMAT}}}, and cannot be read: {error!r}') from error
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise ConfigError(
            f"{path}: format = {number!r}: this version of medlstm knows formats up to {FORMAT}; use the version that "
            "wrote the lake, or a later one"
        )
    return number


def require_format(workspace: Workspace) -> None:
    """Raise ConfigError, with what to do, where the lake's files are not of this version's layout."""
    if found_format(workspace) not in (FORMAT, None):
        raise ConfigError(
            f"{workspace.root}: an earlier version of medlstm wrote this lake; convert it, once, by "
            f"`medlstm lake upgrade --workspace {workspace.root}`"
        )


def mark_format(workspace: Workspace) -> None:
    """Say that every file of the lake is of this version's layout."""
    write_json({"format": FORMAT}, workspace.format, indent=None)
