"""Dates without a time: a day of the hospital, not an instant."""

import numpy as np
import pandas as pd

_DAY = r"\d{4}(?:-\d{1,2}-\d{1,2}|\d{4})"
_A_DAY, _AN_INSTANT = pd.Timedelta(days=1), pd.Timedelta(1, "us")


def is_day(texts: pd.Series) -> np.ndarray:
    """Whether each text [n] is an ISO 8601 date without a time."""
    return texts.str.strip().str.fullmatch(_DAY).fillna(False).to_numpy(dtype=bool)


def last_instants(texts: pd.Series, timezone: str) -> pd.Series:
    """The last microsecond of each day (texts of `is_day`) in `timezone`, in UTC; null where there is no such day."""
    days = pd.to_datetime(texts.str.strip(), format="ISO8601", errors="coerce").dt.as_unit("us")
    first_of_two = np.ones(len(days), dtype=bool)
    next_day = (days + _A_DAY).dt.tz_localize(timezone, ambiguous=first_of_two, nonexistent="shift_forward")
    return next_day.dt.tz_convert("UTC") - _AN_INSTANT
