"""Dates without a time: a day of the hospital, not an instant."""

import numpy as np
import pandas as pd

_DAY = r"\d{4}(?:-\d{1,2}-\d{1,2}|\d{4})"
_LAST_OF_DAY = pd.Timedelta(days=1) - pd.Timedelta(1, "us")
_LAST_DAY = pd.Timestamp(9999, 12, 31).as_unit("us")


def is_day(texts: pd.Series) -> np.ndarray:
    """Whether each text [n] is an ISO 8601 date without a time."""
    return texts.str.strip().str.fullmatch(_DAY).fillna(False).to_numpy(dtype=bool)


def last_instants(texts: pd.Series, timezone: str) -> pd.Series:
    """The last microsecond of each day (texts of `is_day`) in `timezone`, in UTC; null where there is no such day."""
    days = pd.to_datetime(texts.str.strip(), format="ISO8601", errors="coerce").dt.as_unit("us")
    # Behind the last day that a calendar knows, which stands for never, there is no instant in every zone.
    ends = (days + _LAST_OF_DAY).where(days < _LAST_DAY, days)
    second_of_two = np.zeros(len(days), dtype=bool)
    return ends.dt.tz_localize(timezone, ambiguous=second_of_two, nonexistent="shift_forward").dt.tz_convert("UTC")
