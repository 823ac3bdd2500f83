"""Instants as whole numbers."""

import numpy as np
import pandas as pd


def epoch_us(moments: pd.Series) -> np.ndarray:
    """Aware timestamps as int64 microseconds since 1970."""
    return moments.dt.as_unit("us").astype("int64").to_numpy()
