"""Folders of part files, as Spark and others write one table: stays.parquet/ward=ICU/part-00000.parquet."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

_NOTHING = "__HIVE_DEFAULT_PARTITION__"
# What programs leave beside the files that they write, or while they write them.
_LEFTOVERS = (
    ".*", "~$*", "*.crc", "_SUCCESS", "_committed_*", "_started_*", "_metadata", "_common_metadata", "_temporary",
    "__MACOSX", "Thumbs.db", "desktop.ini",
)  # fmt: skip
_DELTA_LOG = "_delta_log"


def is_leftover(name: str) -> bool:
    """Whether a file or folder holds no data of its own: hidden, a marker, a checksum, a lock of an open document."""
    return any(fnmatchcase(name, pattern) for pattern in _LEFTOVERS)


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern names a file, by its path within the landing folder, or a folder that it lies in; upper and
    lower case are alike."""
    return any(fnmatchcase(one, pattern.lower()) for one in _with_folders(name.lower()))


def _with_folders(name: str) -> Iterator[str]:
    yield name
    yield from (str(folder) for folder in PurePosixPath(name).parents if folder.name)


def folder_columns(name: str) -> dict[str, str | None]:
    """The columns that the folders of a file stand for: ward=ICU is ICU in the column ward of each row."""
    found: dict[str, str | None] = {}
    for folder in PurePosixPath(name).parent.parts:
        column, is_column, text = folder.partition("=")
        if is_column and column:
            found[unquote(column)] = None if text == _NOTHING else unquote(text)
    return found


def is_part(name: str) -> bool:
    """Whether a file is one of several that make a table; one without a row may be empty altogether."""
    return PurePosixPath(name).name.startswith("part-") and "/" in name


def is_of_delta_table(path: Path, name: str) -> bool:
    """Whether a file, called `name` within its landing folder, is part of a Delta table, whose log tells which files
    count no more."""
    folders = path.parents[: len(PurePosixPath(name).parts) - 1]
    return any(folder.name == _DELTA_LOG or (folder / _DELTA_LOG).is_dir() for folder in folders)
