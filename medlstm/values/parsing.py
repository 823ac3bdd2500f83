"""Text as received to typed columns, vectorised; what is there but cannot be read becomes null and is reported."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

_TRUE = ("true", "1", "yes", "y", "t")
_FALSE = ("false", "0", "no", "n", "f")


@dataclass(frozen=True)
class Parsed:
    """`values` [n] typed, null where missing or malformed; `malformed` [n] bool, true where text was there."""

    values: pd.Series
    malformed: np.ndarray


def parse_timestamps(texts: pd.Series, timezone: str) -> Parsed:
    """ISO 8601 text to timestamps in UTC, microseconds; text with no offset is local time in `timezone`.

    A local time that the clock skipped moves forward; of one that the clock repeated, the first is taken.
    """
    present, stripped = _present(texts)
    has_offset = stripped.str.contains(r"\d[T ].*(?:Z|z|[+-]\d{2}(?::?\d{2})?)$", regex=True, na=False)
    aware = pd.to_datetime(stripped.where(has_offset), format="ISO8601", utc=True, errors="coerce")
    naive = pd.to_datetime(stripped.where(~has_offset), format="ISO8601", errors="coerce")
    first_of_two = np.ones(len(naive), dtype=bool)
    local = naive.dt.tz_localize(timezone, ambiguous=first_of_two, nonexistent="shift_forward").dt.tz_convert("UTC")
    values = aware.dt.as_unit("us").fillna(local.dt.as_unit("us"))
    return Parsed(values, (present & values.isna()).to_numpy())


def parse_numbers(texts: pd.Series) -> Parsed:
    """Decimal text such as 37.5 or 1.474e+04 to float64; nan and inf count as malformed."""
    present, stripped = _present(texts)
    values = pd.to_numeric(stripped, errors="coerce").astype("float64")
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
