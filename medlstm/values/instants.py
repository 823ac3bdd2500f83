"""Instants as whole numbers."""

from datetime import datetime

import numpy as np
import pandas as pd


def epoch_us(moments: pd.Series) -> np.ndarray:
    """Aware timestamps as int64 microseconds since 1970."""
    return moments.dt.as_unit("us").astype("int64").to_numpy()


def instant_us(moment: datetime) -> int:
    """An aware moment as microseconds since 1970; `Timestamp.value` would be nanoseconds, whatever the unit."""
    return int(pd.Timestamp(moment).tz_convert("UTC").as_unit("us").to_datetime64().astype("int64"))
