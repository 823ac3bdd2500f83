"""Times counted from the admission to points in time."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.parsing import parse_numbers, parse_timestamps
from medlstm.tables import OFFSET_HOURS

_UNRESOLVED = " after an unknown admission"


def resolve_offsets(observations: pa.Table, stays: pa.Table, timezone: str) -> pa.Table:
    """Replace `observed_at` by admission + OFFSET_HOURS where that column has a number and the stay is in `stays`.

    A row whose admission is not known gets a text that is no timestamp: the contract quarantines it.
    """
    if OFFSET_HOURS not in observations.column_names:
        return observations
    hours = parse_numbers(observations.column(OFFSET_HOURS).to_pandas().astype("str")).values
    admitted = _admissions(stays, timezone)
    start = observations.column("stay_id").to_pandas().astype("str").str.strip().map(admitted)
    moments = pd.to_datetime(start, utc=True).dt.as_unit("us") + pd.to_timedelta(hours, unit="h").dt.as_unit("us")
    resolved = pc.strftime(pa.array(moments, pa.timestamp("us", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ")
    received = observations.column("observed_at")
    counted = pc.is_valid(observations.column(OFFSET_HOURS))
    unresolved = pc.if_else(counted, pc.binary_join_element_wise(received, _UNRESOLVED, ""), received)
    place = observations.column_names.index("observed_at")
    return observations.set_column(place, "observed_at", pc.coalesce(resolved, unresolved)).drop_columns([OFFSET_HOURS])


def _admissions(stays: pa.Table, timezone: str) -> pd.Series:
    if not {"stay_id", "admitted_at"} <= set(stays.column_names):
        return pd.Series([], index=pd.Index([], dtype="str"), dtype="datetime64[us, UTC]")
    moments = parse_timestamps(stays.column("admitted_at").to_pandas().astype("str"), timezone).values
    ids = stays.column("stay_id").to_pandas().astype("str").str.strip()
    known = pd.Series(moments.array, index=ids).dropna()
    return known[~known.index.duplicated(keep="last")]
