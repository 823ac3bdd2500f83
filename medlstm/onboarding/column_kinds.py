"""What kind of thing a column of texts holds: numbers and how they are written, times and their format, words."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from medlstm.values.parsing import parse_timestamps

# Words that exporters write for "missing", beside empty cells.
NULL_TEXTS = ("NULL", "Null", "null", "\\N", "NaN", "nan", "NA", "N/A", "n/a", "#N/A", "None", "none", "nil", "(null)",
              "<NA>", "NaT", "-", "--", ".", "?")  # fmt: skip
# As time_formats of the settings has them; ISO 8601 needs none.
TIME_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d.%m.%y %H:%M", "%d.%m.%y", "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%m/%d/%Y", "%m/%d/%y %H:%M", "%m/%d/%y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p", "%d/%m/%Y", "%d/%m/%y %H:%M",
    "%d/%m/%y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d",
    "%d-%b-%Y %H:%M:%S", "%d-%b-%Y %H:%M", "%d-%b-%Y", "%d-%b-%y %H:%M", "%d-%b-%y", "%d%b%Y:%H:%M:%S", "%d%b%Y",
    "%b %d %Y %I:%M%p", "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%Y-%m-%d-%H.%M.%S",
)  # fmt: skip
_COMPACT_TIMES = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 8: "%Y%m%d"}
_MOST = 0.98
_FEWEST_TIMES = 0.8
_LOOKED_AT = 3000
_CLOCK = r"\d[ T:-]\d{1,2}[:.]\d{2}|T\d{2}|^\d{12,}$"
_TIME_OF_DAY = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?"
_DATE_LIKE = r"\d[./:\- T].*\d|\d[A-Za-z]{3}\d"
_ISO_DAY = r"\d{4}-?\d{2}-?\d{2}"
_ZONE = r"\d[T ].*(?:Z|z|UTC|[+-]\d{2}(?::?\d{2})?)$"
_COMMA_DECIMAL = r"^[+-]?(?:\d{1,3}(?:[. ]\d{3})*|\d+),\d+$"
_WHOLE = r"^[+-]?\d+$"
_POINT_GROUPS = r"^[+-]?[1-9]\d{0,2}(?:\.\d{3})+$"
_COMMA_GROUPS = r"^[+-]?[1-9]\d{0,2}(?:,\d{3})+$"
_ENGLISH = r"^[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?$"
_COMPARATOR = r"^(?:[<>]=?|≤|≥)\s*"

Kind = Literal["empty", "number", "time", "duration", "text"]
# plain: 37.5; comma: 37,5; point_groups: 1.250, which may be thousands; comma_groups: 1,250, which may be; english:
# 1,250.5, which no setting reads.
NumberStyle = Literal["plain", "comma", "point_groups", "comma_groups", "english"]


@dataclass(frozen=True)
class Column:
    """One column of a sample, without a value of it.

    `time_formats`: to be tried in turn, none for ISO 8601; `other_formats`: formats that fit as well. `fit_share`: the
    share of filled cells that are of the kind; `number_share`: the share that are numbers, whatever the kind.
    """

    name: str
    kind: Kind
    distinct: int
    distinct_share: float
    filled_share: float
    fit_share: float = 1.0
    number_share: float = 0.0
    number_style: NumberStyle = "plain"
    time_formats: tuple[str, ...] = ()
    other_formats: tuple[str, ...] = ()
    has_zone: bool = False
    is_day: bool = False
    is_clock: bool = False
    null_texts: tuple[str, ...] = ()
    comparator_share: float = 0.0
    has_point: bool = False


def filled(texts: pd.Series) -> pd.Series:
    """The texts that say something, without blanks around them."""
    stripped = texts.dropna().str.strip()
    return stripped[(stripped != "") & ~stripped.isin(NULL_TEXTS)]


def describe_column(name: str, texts: pd.Series) -> Column:
    """What kind of column [n] texts make; a kind must fit 98 % of what is there, a time 80 %."""
    said = filled(texts)
    stripped = texts.dropna().str.strip()
    nulls = tuple(sorted(set(stripped[stripped.isin(NULL_TEXTS)])))
    distinct, filled_share = said.nunique(), len(said) / max(len(texts), 1)
    base = Column(name, "empty", distinct, distinct / max(len(said), 1), filled_share, null_texts=nulls)
    if said.empty:
        return base
    looked_at = said if len(said) <= _LOOKED_AT else said.iloc[:: len(said) // _LOOKED_AT + 1]
    compact = _compact_time(looked_at)
    if compact:
        return replace(base, kind="time", time_formats=(compact,), is_day=compact == "%Y%m%d")
    style, share = _numbers(looked_at)
    comparators = float(looked_at.str.contains(_COMPARATOR).mean())
    base = replace(base, number_share=share, number_style=style, comparator_share=comparators,
                   has_point=bool(looked_at.str.contains(r"^[+-]?\d*\.\d+$").any()))  # fmt: skip
    if share >= _MOST:
        return replace(base, kind="number", fit_share=share)
    clock = bool(looked_at.str.fullmatch(_TIME_OF_DAY).mean() > _MOST)
    return (None if clock else _as_time(base, looked_at)) or replace(base, kind="text", is_clock=clock)


def _numbers(texts: pd.Series) -> tuple[NumberStyle, float]:
    """How numbers are written, and the share of the texts that are."""
    with_point = texts[texts.str.contains(".", regex=False)]
    with_comma = texts[texts.str.contains(",", regex=False)]
    plain = float(pd.to_numeric(texts, errors="coerce").notna().mean())
    commas = float((texts.str.match(_COMMA_DECIMAL) | texts.str.match(_WHOLE) | texts.str.match(_POINT_GROUPS)).mean())
    groups = len(with_point) > 0 and bool((with_point.str.match(_POINT_GROUPS)).mean() >= _MOST)
    if len(with_comma) and float(with_comma.str.match(_COMMA_GROUPS).mean()) >= _MOST:
        return "comma_groups", commas
    if len(with_comma) and commas > plain:
        return "comma", commas
    english = float(texts.str.match(_ENGLISH).mean())
    if len(with_comma) and english > plain:
        return "english", english
    return ("point_groups" if groups else "plain"), max(plain, commas if groups else 0.0)


def _compact_time(texts: pd.Series) -> str | None:
    """Digits alone that make a date between 1900 and 2200; eight of them are no date where only some would be."""
    lengths = texts.str.len().unique()
    if len(lengths) != 1 or lengths[0] not in _COMPACT_TIMES or not texts.str.isdigit().all():
        return None
    one = _COMPACT_TIMES[int(lengths[0])]
    years = pd.to_numeric(texts.str[:4])
    fits = years.between(1900, 2200).all() and pd.to_datetime(texts, format=one, errors="coerce").notna().all()
    return one if fits else None


def _as_time(base: Column, texts: pd.Series) -> Column | None:
    """The column with the formats that read most of its texts; None where less than 80 % are times."""
    if texts.str.contains(_DATE_LIKE).mean() < _FEWEST_TIMES:
        return None
    # A LOINC code such as 2345-7 would pass for a year and a month.
    left = texts[parse_timestamps(texts, "UTC").malformed | ~texts.str.match(_ISO_DAY)]
    formats = TIME_FORMATS if len(left) else ()
    fits = {one: pd.to_datetime(left, format=one, errors="coerce").notna().to_numpy() for one in formats}
    chosen: list[str] = []
    unread = np.ones(len(left), dtype=bool)
    while unread.sum() > (1 - _MOST) * len(texts):
        best = max(TIME_FORMATS, key=lambda one: int((fits[one] & unread).sum()))
        if (fits[best] & unread).sum() <= 0.01 * len(texts):
            break
        chosen.append(best)
        unread &= ~fits[best]
    share = 1 - float(unread.sum()) / len(texts)
    if share < _FEWEST_TIMES:
        return None
    others = tuple(one for one in TIME_FORMATS
                   if chosen and one not in chosen and (fits[one] == fits[chosen[0]]).all())  # fmt: skip
    return replace(
        base, kind="time", fit_share=share, time_formats=tuple(chosen), other_formats=others,
        has_zone=bool(texts.str.contains(_ZONE).mean() > 0.5), is_day=bool(texts.str.contains(_CLOCK).mean() < 0.5),
    )  # fmt: skip
