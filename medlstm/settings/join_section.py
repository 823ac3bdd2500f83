"""What medlstm.toml says of files that others are joined to."""

from typing import Annotated

from pydantic import Field, model_validator

from medlstm.settings.field_types import Delimiter, Encoding, Quoting, ReferenceName, Section


class BetweenSection(Section):
    """The row's `time` lies at or after `start` and not after `stop` (empty: still going on) of the joined row."""

    time: str
    start: str
    stop: str


class JoinSection(Section):
    """Columns of another kind of file in the same folder, known to the mapping as `<name>.<column>`.

    `on` maps columns of this file to columns of the other; of several rows with equal keys the last one counts, with
    `newest_by` the one whose time in that column is the latest, with `between` the latest begun of those that hold the
    time. `keep`: the joined rows to look among.

    `keep_as`: the rows of the pattern's files are kept in the lake as lake/reference/<keep_as>, so that a row is found
    whichever drop it came with; of several with an equal `key` (columns of the other file) the newest counts. Without
    `key` it is the keys of `on`, and with `between` the column that gives stay_id, or else `on` and the start.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    pattern: str
    on: Annotated[dict[str, str], Field(min_length=1)]
    between: BetweenSection | None = None
    newest_by: str | None = None
    keep: dict[str, list[str]] = {}
    keep_as: ReferenceName | None = None
    key: list[str] = []
    delimiter: Delimiter = ","
    encoding: Encoding = "utf-8"
    quoting: Quoting = "standard"

    @model_validator(mode="after")
    def _one_rule(self) -> "JoinSection":
        if self.between and self.newest_by:
            raise ValueError("say one of between and newest_by: each says which of several rows counts")
        return self
