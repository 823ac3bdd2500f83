"""What a source hands over, batch by batch: canonical rows as text, and every file it could not read in full.

A source is one file, `medlstm/sources/<format>.py`, with one function, and its settings in
`medlstm/settings/source.py`:

    def read(landing: LandingFolder, config: Config) -> Iterator[Landed]

It yields, in an order that depends on the files alone (so that a rerun gives equal bytes):

- `RowBatch`: rows of one table, at most about `BATCH_ROWS` of them. Every canonical column is text exactly as
  received (Arrow string, or dictionary of string where values repeat); `source_file` is the path within the landing
  folder and `source_row` the row's number in it, from 1. A canonical column that is left out is null.
- `FilesRead` for the files read to their end, `UnreadableFile` for every file that was not, `LeftOut` for rows that
  belong to no stay, or to no table, by the configuration's own choice, `LandingWarning` for what a person should know.

A source casts nothing, judges nothing and drops nothing: a line that it cannot split into columns is a row with the
text in `unparsed_line` (see `unparsed_rows`), a time counted from the admission is `minutes_after_admission`, a row
that the source marks as entered in error has text in `retracted`. It holds one batch at a time, and it never opens a
file outside `landing.folder`. The canonical columns are `raw_columns` in `medlstm/lake/schemas.py`.

A source whose deliveries refer to what earlier ones said also has

    def remember(folders: Sequence[LandingFolder], config: Config) -> pa.Table

which gives rows of REMEMBERED_SCHEMA; of those of all deliveries so far `landing.recalled` has the newest of each key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from medlstm.lake.files import Workspace
from medlstm.lake.schemas import UNPARSED

TableName = Literal["stays", "observations"]
BATCH_ROWS = 131_072


# `place`: the rows' order; `key`: null where a row is about no single thing; `settled_on` (an ISO date): when the
# matter of a row ended; long after, the row need not be recalled.
REMEMBERED_SCHEMA = pa.schema(
    [pa.field("place", pa.int64()), *(pa.field(name, pa.string()) for name in ("kind", "key", "settled_on", "content"))]
)


@dataclass(frozen=True)
class Recalled:
    """Rows of REMEMBERED_SCHEMA, oldest first: of the deliveries before this one, and of this one."""

    earlier: pa.Table
    own: pa.Table


@dataclass(frozen=True)
class KnownRows:
    """The kept rows of reference tables, as of an extract date, its own included."""

    workspace: Workspace
    as_of: date


@dataclass(frozen=True)
class LandingFolder:
    """One date's delivery: `files` are absolute, sorted, and all lie below `folder`; `known` is what joins may look up
    of other dates."""

    folder: Path
    extract_date: date
    files: tuple[Path, ...]
    recalled: Recalled | None = None
    known: KnownRows | None = None

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


@dataclass(frozen=True)
class LeftOut:
    """Rows that the configuration leaves out on purpose, and by what: a fact of the delivery, and no warning."""

    table: TableName
    what: str
    rows: int


Landed = RowBatch | FilesRead | UnreadableFile | LeftOut | LandingWarning


def raw_rows(columns: dict[str, pa.Array | pa.ChunkedArray], source_file: str, source_row: np.ndarray) -> pa.Table:
    """Text columns of one file's rows, with where they came from."""
    rows = len(source_row)
    name = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([source_file]))
    return pa.table({**columns, "source_file": name, "source_row": pa.array(source_row, pa.int64())})


def unparsed_rows(source_file: str, lines: Sequence[tuple[int, str]]) -> pa.Table:
    """Lines (number, text) that do not fit their file's header, as rows that only the quarantine will take."""
    numbers = np.array([number for number, _ in lines], dtype=np.int64)
    return raw_rows({UNPARSED: pa.array([text for _, text in lines], pa.string())}, source_file, numbers)
