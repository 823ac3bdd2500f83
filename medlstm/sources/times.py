"""Times as hospitals write them, to ISO 8601 text."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.sources.infer_dates import iso_text
from medlstm.values.days import is_day
from medlstm.values.parsing import parse_numbers, parse_timestamps
from medlstm.values.text_columns import Text, on_distinct
from medlstm.values.time_spellings import ENDS_AT_24

_TIME_OF_DAY = re.compile(r"%(-|#)?[HIcXsT]")
# A format that ends so names the zone of its times.
_UTC_NAMES = ("UTC", "GMT", "Z")
_EPOCHS = {"epoch_seconds": 1, "epoch_milliseconds": 1000}
_LAST_SECOND = 253_402_300_799  # of the year 9999


def iso_times(texts: Text, formats: list[str], timezone: str | None) -> Text:
    """Texts in one of `formats`, tried in turn, as ISO 8601; what fits none stays as it is.

    A date without a time stays one: a day of the hospital, whatever the zone. With `timezone`, times without an offset
    (also those that were ISO 8601 before) are local times there and become UTC; without, they stay local times for the
    workspace's zone.
    """
    if not (formats or timezone):
        return texts
    return on_distinct(texts, lambda distinct: _iso(pd.Series(distinct.to_pandas()).astype("str"), formats, timezone))


def _iso(distinct: pd.Series, formats: list[str], timezone: str | None) -> pa.Array:
    stripped = distinct.str.strip()
    result: pa.Array = pa.nulls(len(distinct), pa.string())
    for one in formats:
        parsed = _parse(stripped, one)
        if not _TIME_OF_DAY.search(one) and one not in _EPOCHS:
            result = pc.coalesce(result, _days(parsed))
        elif parsed.dt.tz is not None:
            result = pc.coalesce(result, iso_text(parsed))
        elif timezone:
            result = pc.coalesce(result, iso_text(_localised(parsed, timezone)))
        else:
            result = pc.coalesce(result, iso_text(parsed.dt.tz_localize("UTC"), zone=""))
    result = pc.coalesce(result, _days(stripped.where(is_day(stripped))))
    if timezone:
        result = pc.coalesce(result, iso_text(parse_timestamps(distinct, timezone).values))
    return pc.coalesce(result, pa.Array.from_pandas(distinct, type=pa.string()))


def _days(dates: pd.Series) -> pa.Array:
    """Texts or moments as dates without a time."""
    moments = pd.to_datetime(dates, format="ISO8601", errors="coerce")
    return pa.Array.from_pandas(moments.dt.strftime("%Y-%m-%d").astype("str"), type=pa.string())


def _parse(texts: pd.Series, one: str) -> pd.Series:
    if one in _EPOCHS:
        numbers = pd.to_numeric(texts, errors="coerce")
        seconds = numbers / _EPOCHS[one]
        usable = seconds.where(np.abs(seconds) < _LAST_SECOND)
        return pd.to_datetime(usable, unit="s", utc=True, errors="coerce").dt.as_unit("us")
    # 24:00 is the midnight that ends the day, which strptime does not know.
    at_24 = texts.str.contains(ENDS_AT_24, regex=True, na=False)
    texts = texts.str.replace(ENDS_AT_24, lambda found: "00" + found.group()[2:], regex=True) if at_24.any() else texts
    in_utc = one.endswith(("%z", "%Z", *_UTC_NAMES))
    parsed = pd.to_datetime(texts, format=one, utc=in_utc, errors="coerce").dt.as_unit("us")
    return parsed + pd.to_timedelta(at_24.astype("int64"), unit="D").dt.as_unit("us")


def _localised(naive: pd.Series, timezone: str) -> pd.Series:
    first_of_two = np.ones(len(naive), dtype=bool)
    local = naive.dt.tz_localize(timezone, ambiguous=first_of_two, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC").dt.as_unit("us")


def ages(born: Text, at: Text, timezone: str) -> pa.Array:
    """Completed years, as text, from ISO 8601 dates of birth (a year or a month will do) and times; else null."""
    now, birth = (
        parse_timestamps(texts.cast(pa.string()).to_pandas().astype("str"), timezone, whole_dates=False).values
        .dt.tz_convert(timezone)
        for texts in (at, born)
    )
    not_yet = (now.dt.month * 100 + now.dt.day) < (birth.dt.month * 100 + birth.dt.day)
    completed = (now.dt.year - birth.dt.year - not_yet).where(now.notna() & birth.notna())
    return pa.Array.from_pandas(completed.astype("Int64")).cast(pa.string())


def ages_from_year(age: Text, year: Text, at: Text, timezone: str) -> pa.Array:
    """Years of age, as text, at ISO 8601 times, from an age in one year: off by one at most, as a birth of which the
    year alone is known. An age that is no number, or has no year, stays as it is."""
    told, then = (
        parse_numbers(texts.cast(pa.string()).to_pandas().astype("str")).values for texts in (age, year)
    )
    now = parse_timestamps(at.cast(pa.string()).to_pandas().astype("str"), timezone).values.dt.tz_convert(timezone)
    computed = pa.Array.from_pandas((told + now.dt.year - then).round().astype("Int64")).cast(pa.string())
    received = age.cast(pa.string())
    return pc.coalesce(computed, received.combine_chunks() if isinstance(received, pa.ChunkedArray) else received)


def deaths_in_stay(begin: Text, end: Text, death: Text, timezone: str) -> pa.Array:
    """"true" where a death falls into the stay or the day after its end, "false" where none does; all in ISO 8601.

    Null while the stay goes on, and where the death cannot be read or is told by its year or month alone. A death
    that is told by its date may be of any hour of that day.
    """
    texts = [column.cast(pa.string()).to_pandas().astype("str") for column in (begin, end, death)]
    began, ended, died = (parse_timestamps(one, timezone) for one in texts)
    first_day, day = (one.values.dt.tz_convert(timezone).dt.tz_localize(None).dt.normalize() for one in (began, died))
    within = (day >= first_day) & ((died.values - ended.values).dt.total_seconds() <= 86400)
    vague = died.malformed | (texts[2].str.strip().str.len() < len("2026-03-28")).to_numpy(dtype=bool, na_value=False)
    known = ended.values.notna().to_numpy() & ~vague
    return pc.if_else(pa.array(known), pa.array(np.where(within, "true", "false"), pa.string()), None)
