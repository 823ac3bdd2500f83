"""Spellings of times that programs write and readers of ISO 8601 refuse, as ISO 8601 text."""

import re

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# (pattern, replacement), one after the other.
_REWRITTEN = (
    (r"^\s+|\s+$", ""),
    # 20260327093000, as HL7 writes it, with a fraction and an offset or without.
    (r"^(\d{4})(\d{2})(\d{2})[Tt ]?(\d{2})(\d{2})(\d{2})?([.,]\d+)?(Z|[+-]\d{2}:?\d{2})?$", r"\1-\2-\3T\4:\5:\6\7\8"),
    (r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}):(Z|[+-]\d{2}:?\d{2})?$", r"\1\2"),
    (r"^(\d{4}-\d{1,2}-\d{1,2})[Tt ]\s*(\d)", r"\1T\2"),
    (r"(:\d{2}),(\d)", r"\1.\2"),
    (r"(:\d{2}\.\d{6})\d+", r"\1"),
    # 2026-03-27T10:30:00+01:00[Europe/Berlin]
    (r"(Z|[+-]\d{2}:?\d{2})\[[\w/+-]+\]$", r"\1"),
    (r"([+-]00:?00) ?(?:UTC|GMT)$", r"\1"),
    (r"(:\d{2}(?:\.\d+)?) ?(?:UTC|Utc|utc|GMT|gmt|Z|z)$", r"\1Z"),
    (r"(:\d{2}(?:\.\d+)?) ([+-]\d{2}(?::?\d{2})?)$", r"\1\2"),
)
_MIDNIGHT = r"^(?P<day>\d{4}-\d{1,2}-\d{1,2})T24:00(?::00(?:\.0+)?)?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?$"
# Of any way to write a date, for formats that a mapping names.
ENDS_AT_24 = re.compile(r"(?<=[T ])24:00(?::00(?:\.0+)?)?(?![:.\d])")


def iso_spelling(texts: pa.Array) -> pa.Array:
    """` UTC`, ` Z`, blanks before an offset, yyyymmddhhmmss, a decimal comma and 24:00 (the midnight that ends the day)
    as ISO 8601 says them; every other text as it is but for blanks around it."""
    for pattern, replacement in _REWRITTEN:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    at_24 = pc.match_substring_regex(texts, _MIDNIGHT)
    return pc.if_else(at_24, _next_day(texts), texts) if pc.any(at_24).as_py() else texts


def _next_day(texts: pa.Array) -> pa.Array:
    """Texts at 24:00 as 00:00 of the day after; null elsewhere, and where there is no such day."""
    parts = pd.Series(texts.to_pandas()).astype("str").str.extract(_MIDNIGHT)
    days = pd.to_datetime(parts["day"], format="ISO8601", errors="coerce").dt.as_unit("s") + pd.Timedelta(1, unit="D")
    return pa.Array.from_pandas(days.dt.strftime("%Y-%m-%dT00:00:00") + parts["zone"].fillna(""), type=pa.string())
