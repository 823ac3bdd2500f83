"""Text as received to typed columns, vectorised; what is there but cannot be read becomes null and is reported."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.values.time_spellings import iso_spelling

_TRUE = ("true", "1", "yes", "y", "t")
_FALSE = ("false", "0", "no", "n", "f")
_HAS_OFFSET = r"\d[T ].*(?:Z|z|[+-]\d{2}(?::?\d{2})?)$"
_WHOLE_DATE = r"\d{4}(?:-\d{1,2}-\d{1,2}|\d{4})"
# 1,234.5 and 1,234,567 and 1'234; not 1,234, which may be a decimal comma, nor 120 080, which may be two numbers.
_GROUPED = (
    r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,}|(?:['’\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?)"
)
_GROUP_MARKS = r"[,'’\u00a0\u2009\u202f]"


@dataclass(frozen=True)
class Parsed:
    """`values` [n] typed, null where missing or malformed; `malformed` [n] bool, true where text was there."""

    values: pd.Series
    malformed: np.ndarray


def parse_timestamps(texts: pd.Series, timezone: str, whole_dates: bool = True) -> Parsed:
    """ISO 8601 text, and the spellings of `iso_spelling`, to timestamps in UTC, cut to microseconds; text with no
    offset is local time in `timezone`. A month or a year alone is malformed, unless `whole_dates` is false.

    A local time that the clock skipped moves forward; of one that the clock repeated, the first is taken.
    """
    present, stripped = _present(texts)
    stripped = _as_iso(stripped)
    # pandas reads the words now and today, too.
    readable = stripped.str.match(_WHOLE_DATE if whole_dates else r"\d{4}").fillna(False).astype(bool)
    has_offset = stripped.str.contains(_HAS_OFFSET, regex=True, na=False)
    aware = pd.to_datetime(stripped.where(readable & has_offset), format="ISO8601", utc=True, errors="coerce")
    naive = pd.to_datetime(stripped.where(readable & ~has_offset), format="ISO8601", errors="coerce")
    first_of_two = np.ones(len(naive), dtype=bool)
    local = naive.dt.tz_localize(timezone, ambiguous=first_of_two, nonexistent="shift_forward").dt.tz_convert("UTC")
    values = aware.dt.as_unit("us").fillna(local.dt.as_unit("us"))
    return Parsed(values, (present & values.isna()).to_numpy())


def _as_iso(texts: pd.Series) -> pd.Series:
    spelled = iso_spelling(pa.array(texts, pa.string(), from_pandas=True))
    return pd.Series(spelled.to_pandas(), index=texts.index).astype("str")


def parse_numbers(texts: pd.Series) -> Parsed:
    """Decimal text such as 37.5, 1.474e+04, 1,234.5 or 1'234 to float64; nan and inf count as malformed."""
    present, stripped = _present(texts)
    values = pd.to_numeric(stripped, errors="coerce").astype("float64")
    unread = present & values.isna()
    if unread.any():
        grouped = stripped[unread & stripped.str.fullmatch(_GROUPED).fillna(False).astype(bool)]
        plain = pd.to_numeric(grouped.str.replace(_GROUP_MARKS, "", regex=True)).astype("float64")
        values = values.where(~values.index.isin(plain.index), plain.reindex(values.index))
    values = values.where(np.isfinite(values))
    return Parsed(values, (present & values.isna()).to_numpy())


def parse_booleans(texts: pd.Series) -> Parsed:
    """true/false, 1/0, yes/no, t/f or y/n in any case to a nullable boolean."""
    present, stripped = _present(texts)
    lowered = stripped.str.lower()
    values = pd.Series(pd.NA, index=texts.index, dtype="boolean")
    values[lowered.isin(_TRUE)] = True
    values[lowered.isin(_FALSE)] = False
    return Parsed(values, (present & values.isna()).to_numpy())


def parse_text(texts: pd.Series) -> pd.Series:
    """Text without surrounding blanks; blank text is missing."""
    present, stripped = _present(texts)
    return stripped.where(present)


def _present(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    stripped = texts.astype("str").str.strip()
    return stripped.notna() & (stripped != ""), stripped
