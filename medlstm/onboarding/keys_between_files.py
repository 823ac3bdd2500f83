"""What the data say of columns beside their names: which are keys, which refer to another file, which times rise."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.onboarding.column_kinds import Column, filled
from medlstm.onboarding.sample_file import FileSample
from medlstm.sources.times import iso_times
from medlstm.values.parsing import parse_timestamps

_FEWEST_ROWS = 3
_MOSTLY = 0.95
# A longer span is from a birth, or of a contract: no stay.
_LONGEST_HOURS = 2 * 8766


def key_texts(sample: FileSample, name: str) -> pd.Series:
    """The column's filled texts as keys are compared: whole numbers without the .0 of a floating point."""
    if name not in sample.rows:
        return pd.Series([], dtype="str")
    return filled(sample.rows[name]).str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def is_unique(sample: FileSample, name: str) -> bool:
    """Whether the column tells the rows of a file apart: filled everywhere, and hardly ever twice the same.

    A file of each day may tell of the same stay again.
    """
    column = sample.column(name)
    if column.filled_share <= 0.99:
        return False
    if sample.file_of_row is None or name not in sample.rows:
        return column.distinct_share > 0.98
    pairs = pd.DataFrame({"key": sample.rows[name], "file": sample.file_of_row})
    return 1 - pairs.duplicated().mean() > 0.98


def covered_share(sample: FileSample, name: str, other: FileSample, key: str) -> float:
    """The share of the column's filled rows whose text is a key of the other file; 0 where it has none."""
    texts = key_texts(sample, name)
    return float(texts.isin(set(key_texts(other, key))).mean()) if len(texts) else 0.0


def referring_columns(sample: FileSample, other: FileSample, key: str) -> dict[str, float]:
    """The columns whose texts are keys of the other file, and the share of them that are, the best first.

    Small whole numbers meet any numbering, so a column of them counts only where it has the key's name.
    """
    found = {}
    for column in sample.columns:
        if column.kind not in ("text", "number") or (column.distinct < _FEWEST_ROWS and column.name != key):
            continue
        if column.name != key and _are_small_numbers(key_texts(sample, column.name)):
            continue
        share = covered_share(sample, column.name, other, key)
        if share >= 0.9:
            found[column.name] = share
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _are_small_numbers(texts: pd.Series) -> bool:
    numbers = pd.to_numeric(texts, errors="coerce")
    return bool(numbers.notna().all() and len(numbers) and numbers.abs().max() < 10_000)


def moments(sample: FileSample, column: Column) -> pd.Series:
    """The column's times, in UTC where it says no zone; missing where there is none."""
    said = filled(sample.rows[column.name]).reindex(sample.rows.index)
    iso = iso_times(pa.array(said, pa.string()), list(column.time_formats), None)
    return parse_timestamps(iso.cast(pa.string()).to_pandas().astype("str"), "UTC").values


@dataclass(frozen=True)
class RisingPair:
    """Two time columns of a file: in `share` of the rows that have both, the first is not after the second."""

    start: str
    stop: str
    share: float
    median_hours: float
    short_share: float


def rising_pair(sample: FileSample, start: Column, stop: Column) -> RisingPair | None:
    """How two time columns stand to each other; None where no row has both. Short: less than six hours apart."""
    hours = (moments(sample, stop) - moments(sample, start)).dt.total_seconds() / 3600
    hours = hours[hours.notna()]
    if hours.empty:
        return None
    rising = hours >= 0
    return RisingPair(
        start.name, stop.name, float(rising.mean()), float(np.median(hours)), float((hours[rising] < 6).mean())
    )


def likeliest_pair(sample: FileSample) -> RisingPair | None:
    """Of all time columns the two that rise in most rows, the furthest apart first: a stay's begin and end."""
    times = [one for one in sample.columns if one.kind == "time" and one.filled_share > 0]
    pairs = [rising_pair(sample, one, other) for one in times for other in times if one is not other]
    rising = [one for one in pairs if one and one.share >= _MOSTLY and 0 < one.median_hours < _LONGEST_HOURS]
    return max(rising, key=lambda one: one.median_hours, default=None)
