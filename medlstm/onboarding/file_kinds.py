"""Files to kinds of files: those of one name but for its numbers, with the same columns, are one kind."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from medlstm.onboarding.column_kinds import describe_column
from medlstm.onboarding.sample_file import FileSample


@dataclass(frozen=True)
class FileKind:
    """`pattern` as [[source.files]] has it; `sample` holds the rows of all its files."""

    pattern: str
    sample: FileSample
    files: int = 1

    def size(self) -> str:
        """How much was looked at, in words."""
        rows = f"{len(self.sample.rows):,} rows"
        return f"all {rows}" if self.sample.whole else f"its first {rows}"


def pattern_of(name: str) -> str:
    """The name with numbers, such as a date, as a wildcard; what a pattern would take for its own is one letter."""
    plain = re.sub(r"[\[\]?*]", "?", name)
    return re.sub(r"\*+", "*", re.sub(r"\d[\d_.-]*\d|\d+", "*", plain))


def file_kinds(samples: Sequence[FileSample]) -> list[FileKind]:
    """The kinds, by pattern; two kinds that one pattern would take have their whole names as patterns."""
    groups: dict[tuple[str, tuple[str, ...]], list[FileSample]] = {}
    for sample in samples:
        groups.setdefault((pattern_of(sample.name), tuple(sample.names())), []).append(sample)
    patterns = [pattern for pattern, _ in groups]
    kinds = []
    for (pattern, _), members in groups.items():
        if patterns.count(pattern) > 1:
            kinds += [FileKind(re.sub(r"[\[\]?*]", "?", one.name), one) for one in members]
        else:
            kinds.append(FileKind(pattern, _together(members), len(members)))
    # A block takes what no block before it took: the pattern with more letters first.
    return sorted(kinds, key=lambda one: (-len(one.pattern.replace("*", "")), one.pattern))


def _together(members: list[FileSample]) -> FileSample:
    if len(members) == 1:
        return members[0]
    rows = pd.concat([one.rows for one in members], ignore_index=True)
    nested = {one.name for one in members[0].columns} - set(rows.columns)
    columns = tuple(one if one.name in nested or one.kind == "duration" else describe_column(one.name, rows[one.name])
                    for one in members[0].columns)  # fmt: skip
    return replace(
        members[0], columns=columns, rows=rows, whole=all(one.whole for one in members),
        file_of_row=np.repeat(np.arange(len(members)), [len(one.rows) for one in members]),
    )  # fmt: skip
