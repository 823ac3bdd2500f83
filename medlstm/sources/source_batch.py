"""What a source hands over, batch by batch: canonical rows as text, and every file it could not read in full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from medlstm.lake.schemas import UNPARSED

TableName = Literal["stays", "observations"]
BATCH_ROWS = 131_072


@dataclass(frozen=True)
class LandingFolder:
    """One date's delivery: `files` are absolute, sorted, and all lie below `folder`."""

    folder: Path
    extract_date: date
    files: tuple[Path, ...]

    def name(self, path: Path) -> str:
        """The file's name for people and for `source_file`."""
        return str(path).removeprefix(f"{self.folder}/")


@dataclass(frozen=True)
class RowBatch:
    """Rows of one table: text columns, `source_file` and `source_row` (int64, from 1)."""

    table: TableName
    rows: pa.Table


@dataclass(frozen=True)
class FilesRead:
    """Files that were read to their end."""

    source_files: tuple[str, ...]


@dataclass(frozen=True)
class UnreadableFile:
    """A file, by its path within the landing folder, that was not read to its end, why, and what to do about it.

    Rows before the break, if any, were handed over.
    """

    source_file: str
    reason: str


@dataclass(frozen=True)
class LandingWarning:
    """What a person should know about a delivery."""

    message: str


Landed = RowBatch | FilesRead | UnreadableFile | LandingWarning


def raw_rows(columns: dict[str, pa.Array | pa.ChunkedArray], source_file: str, source_row: np.ndarray) -> pa.Table:
    """Text columns of one file's rows, with where they came from."""
    rows = len(source_row)
    name = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([source_file]))
    return pa.table({**columns, "source_file": name, "source_row": pa.array(source_row, pa.int64())})


def unparsed_rows(source_file: str, lines: Sequence[tuple[int, str]]) -> pa.Table:
    """Lines (number, text) that do not fit their file's header, as rows that only the quarantine will take."""
    numbers = np.array([number for number, _ in lines], dtype=np.int64)
    return raw_rows({UNPARSED: pa.array([text for _, text in lines], pa.string())}, source_file, numbers)
