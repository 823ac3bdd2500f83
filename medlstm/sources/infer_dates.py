"""Where stays lie in time when their source has a length of stay and no dates."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.values.parsing import parse_numbers


def placed_by_extract_date(
    los_days: pa.ChunkedArray | pa.Array, extract_date: date, timezone: str
) -> dict[str, pa.Array]:
    """`admitted_at` and `discharged_at` as text: the stay ended as the extract date began, or, with no length, began
    then and is still open. A length that is no number, or below zero, places nothing: the contract refuses it."""
    parsed = parse_numbers(los_days.cast(pa.string()).to_pandas().astype("str"))
    start = pd.Timestamp(datetime.combine(extract_date, time(), ZoneInfo(timezone))).tz_convert("UTC").as_unit("us")
    usable = parsed.values.where(parsed.values.between(0, 1_000_000))
    placeable = usable.notna() | (parsed.values.isna() & ~parsed.malformed)
    # Of minutes and hours as shares of a day; cut off instead of rounded, a stay would begin a microsecond early.
    admitted = (start - pd.to_timedelta(usable, unit="D").dt.round("us")).dt.as_unit("us").fillna(start)
    discharged = pd.Series(start, index=usable.index).where(usable.notna())
    return {"admitted_at": iso_text(admitted.where(placeable)), "discharged_at": iso_text(discharged)}


def iso_text(moments: pd.Series, zone: str = "Z") -> pa.Array:
    """Aware timestamps as ISO 8601 text in UTC, null where missing; microseconds are kept where there are any."""
    values = pa.Array.from_pandas(moments.dt.tz_convert("UTC").dt.as_unit("us"))
    micros = np.asarray(values.cast(pa.int64()).fill_null(0))
    unit = "us" if (micros % 1_000_000).any() else "s"
    return pc.strftime(values.cast(pa.timestamp(unit, tz="UTC"), safe=False), format=f"%Y-%m-%dT%H:%M:%S{zone}")
