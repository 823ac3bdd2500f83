"""Times counted from the admission to points in time."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.parsing import parse_numbers, parse_timestamps
from medlstm.sources.placing import iso_text
from medlstm.tables import MINUTES_AFTER_ADMISSION

_UNRESOLVED = " after an unknown admission"


def resolve_offsets(observations: pa.Table, stays: pa.Table, timezone: str) -> pa.Table:
    """Replace `observed_at` by admission + MINUTES_AFTER_ADMISSION where that is a number and the stay is in `stays`.

    A row whose admission is not known gets a text that is no timestamp: the contract quarantines it.
    """
    if MINUTES_AFTER_ADMISSION not in observations.column_names or _is_null(observations):
        return observations
    minutes = parse_numbers(observations.column(MINUTES_AFTER_ADMISSION).to_pandas().astype("str")).values
    admitted = _admissions(stays, timezone)
    start = observations.column("stay_id").to_pandas().astype("str").str.strip().map(admitted)
    moments = pd.to_datetime(start, utc=True).dt.as_unit("us") + pd.to_timedelta(minutes, unit="m").dt.as_unit("us")
    resolved = iso_text(moments)
    received = observations.column("observed_at")
    counted = pc.is_valid(observations.column(MINUTES_AFTER_ADMISSION))
    unresolved = pc.if_else(counted, pc.binary_join_element_wise(received, _UNRESOLVED, ""), received)
    place = observations.column_names.index("observed_at")
    observed = pc.coalesce(resolved, unresolved)
    return observations.set_column(place, "observed_at", observed).drop_columns([MINUTES_AFTER_ADMISSION])


def _admissions(stays: pa.Table, timezone: str) -> pd.Series:
    if not {"stay_id", "admitted_at"} <= set(stays.column_names):
        return pd.Series([], index=pd.Index([], dtype="str"), dtype="datetime64[us, UTC]")
    moments = parse_timestamps(stays.column("admitted_at").to_pandas().astype("str"), timezone).values
    ids = stays.column("stay_id").to_pandas().astype("str").str.strip()
    known = pd.Series(moments.array, index=ids).dropna()
    return known[~known.index.duplicated(keep="last")]


def _is_null(observations: pa.Table) -> bool:
    return bool(observations.column(MINUTES_AFTER_ADMISSION).null_count == observations.num_rows)
