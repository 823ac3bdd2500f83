"""Raw rows as text to typed columns; what cannot be read becomes a finding instead of a silent null.

Text columns are dictionaries: each distinct text is read once, however many rows repeat it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.contracts.text_column import Column, TextColumn
from medlstm.lake.schemas import LOS_DAYS, MINUTES_AFTER_ADMISSION, RETRACTED, UNPARSED
from medlstm.settings.workspace import Config
from medlstm.values.days import is_day, last_instants
from medlstm.values.identifiers import rounded_identifiers
from medlstm.values.instants import epoch_us
from medlstm.values.parsing import parse_booleans, parse_numbers, parse_text, parse_timestamps
from medlstm.values.time_spellings import iso_spelling

# The rule of times that were given as dates, by the column.
IS_A_DAY = "{name}_is_a_day"
MISSING_TIME = np.iinfo(np.int64).min
_US_PER_HOUR = 3_600_000_000
_US_PER_DAY = 24 * _US_PER_HOUR
# Timestamps of years 1 to 9999 in microseconds since 1970: what Arrow, pandas and people can all hold.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999

# The admission (microseconds, MISSING_TIME where unknown) of each stay_id given.
Admissions = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Finding:
    """Rows [n] bool that break a rule, and why in words for the quarantine; never a value of the row.

    `action`: what follows, as in `RuleMeta`; a value that is set missing is missing in the columns already.
    """

    rule: str
    description: str
    rows: np.ndarray
    action: str = "quarantine"


@dataclass(frozen=True)
class Cast:
    """Typed columns of n raw rows, in their order, and the rows whose text could not be read.

    Beside the table's own columns there are helper columns for the contract: `hours_ahead`, hours from the end
    of the extract date to the row's own time, and for stays `length_of_stay_days`.
    """

    columns: dict[str, Column]
    findings: tuple[Finding, ...]


class _Caster:
    """Casts one column after the other and keeps what it found."""

    def __init__(self, raw: pa.Table, timezone: str) -> None:
        self.raw = raw
        self.timezone = timezone
        self.findings: list[Finding] = []
        if self.has(UNPARSED):
            self.note("ragged_line", "the line does not fit the header of its file", self._codes(UNPARSED) >= 0)

    def has(self, name: str) -> bool:
        return name in self.raw.column_names and self.raw.column(name).null_count < self.raw.num_rows

    def text(self, name: str) -> TextColumn:
        if not self.has(name):
            return TextColumn(np.full(self.raw.num_rows, -1, dtype=np.int32), np.array([], dtype=object))
        stripped = parse_text(self._distinct(name))
        codes, distinct = pd.factorize(stripped)
        return TextColumn(_at(codes.astype(np.int32), self._codes(name), -1), np.asarray(distinct, dtype=object))

    def identifier(self, name: str) -> TextColumn:
        """Text; a number that was rounded on its way may stand for any of many identifiers."""
        if self.has(name):
            rounded = _at(rounded_identifiers(parse_text(self._distinct(name))), self._codes(name), False)
            self.note("identifier_rounded", f"{name}: a number in scientific notation, whose last digits are lost; "
                      "export it as text", rounded)  # fmt: skip
        return self.text(name)

    def timestamp(self, name: str, of_day: Literal["beginning", "end"] = "beginning") -> np.ndarray:
        """Microseconds; a date without a time counts as the beginning, or the end, of its day."""
        if not self.has(name):
            return np.full(self.raw.num_rows, MISSING_TIME, dtype=np.int64)
        texts = self._distinct(name)
        values, malformed = _timestamps(texts, self.timezone)
        codes = self._codes(name)
        days = is_day(texts) & ~malformed
        if of_day == "end" and days.any():
            values[days] = epoch_us(last_instants(texts[days], self.timezone))
        self.note("not_a_timestamp", f"{name}: not an ISO 8601 timestamp", _at(malformed, codes, False))
        self.note(IS_A_DAY.format(name=name), f"{name}: a date without a time; it counts as the {of_day} of that day",
                  _at(days, codes, False), "warn")  # fmt: skip
        return _at(values, codes, MISSING_TIME)

    def static(self, name: str) -> np.ndarray:
        """A number that the stay can do without."""
        return self._number(name, f"{name}_unreadable", f"{name}: not a number; taken as missing", "set_missing")

    def number(self, name: str, shown: str | None = None) -> np.ndarray:
        return self._number(name, "not_a_number", f"{shown or name}: not a finite decimal number", "quarantine")

    def _number(self, name: str, rule: str, description: str, action: str) -> np.ndarray:
        if not self.has(name):
            return np.full(self.raw.num_rows, np.nan)
        parsed = parse_numbers(self._distinct(name))
        codes = self._codes(name)
        self.note(rule, description, _at(parsed.malformed, codes, False), action)
        return _at(parsed.values.to_numpy(dtype=np.float64, na_value=np.nan), codes, np.nan)

    def boolean(self, name: str) -> np.ndarray:
        """int8: 1 true, 0 false, -1 missing. Where the row is taken back has to be said clearly; all else may be
        missing."""
        if not self.has(name):
            return np.full(self.raw.num_rows, -1, dtype=np.int8)
        parsed = parse_booleans(self._distinct(name))
        codes = self._codes(name)
        malformed = _at(parsed.malformed, codes, False)
        if name == RETRACTED:
            self.note("not_a_boolean", f"{name}: neither true nor false", malformed)
        else:
            self.note(f"{name}_unreadable", f"{name}: neither true nor false; taken as missing", malformed,
                      "set_missing")  # fmt: skip
        return _at(parsed.values.astype("Int8").fillna(-1).to_numpy(dtype=np.int8), codes, np.int8(-1))

    def note(self, rule: str, description: str, rows: np.ndarray, action: str = "quarantine") -> None:
        if rows.any():
            self.findings.append(Finding(rule, description, rows, action))

    def _codes(self, name: str) -> np.ndarray:
        return self.raw.column(name).chunk(0).indices.fill_null(-1).to_numpy()

    def _distinct(self, name: str) -> pd.Series:
        return self.raw.column(name).chunk(0).dictionary.to_pandas().astype("str")


def _at(distinct: np.ndarray, codes: np.ndarray, missing: object) -> np.ndarray:
    """distinct[codes], `missing` where the code is -1."""
    extended = np.append(distinct, np.asarray(missing, dtype=distinct.dtype))
    return extended[codes]


def _timestamps(texts: pd.Series, timezone: str) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds and malformed. Arrow reads clean text several times faster; anything else takes the careful way."""
    received = pa.Array.from_pandas(texts, type=pa.string())
    values = _clean_timestamps(received, timezone)
    if values is None:
        values = _clean_timestamps(iso_spelling(received), timezone)
    malformed = np.zeros(len(texts), dtype=bool)
    if values is None:
        parsed = parse_timestamps(texts, timezone)
        values = parsed.values.dt.as_unit("us").astype("int64").to_numpy().copy()
        values[parsed.values.isna().to_numpy()] = MISSING_TIME
        malformed = parsed.malformed
    outside = (values != MISSING_TIME) & ((values < _FIRST_US) | (values > _LAST_US))
    values[outside] = MISSING_TIME
    return values, malformed | outside


def _clean_timestamps(texts: pa.Array, timezone: str) -> np.ndarray | None:
    """Microseconds where all texts are ISO 8601 and all, or none, have an offset; else None."""
    for zone in ("UTC", None):
        try:
            moments = texts.cast(pa.timestamp("us", tz=zone))
        except pa.ArrowException:
            continue
        if zone or timezone == "UTC":
            return np.array(moments.cast(pa.int64()).fill_null(MISSING_TIME))
        try:
            return _localised(moments, timezone)
        except (OverflowError, ValueError):
            return None
    return None


def _localised(naive: pa.Array, timezone: str) -> np.ndarray:
    local = naive.to_pandas()
    first_of_two = np.ones(len(local), dtype=bool)
    aware = local.dt.tz_localize(timezone, ambiguous=first_of_two, nonexistent="shift_forward").dt.tz_convert("UTC")
    values = aware.dt.as_unit("us").astype("int64").to_numpy().copy()
    values[aware.isna().to_numpy()] = MISSING_TIME
    return values


def cast_observations(raw: pa.Table, config: Config, admissions: Admissions) -> Cast:
    """stay_id, observed_at, variable, value, retracted and hours_ahead; a time counted from the admission is dated.

    `raw`: text columns as dictionaries, one chunk each, with extract_date.
    """
    caster = _Caster(raw, config.workspace.timezone)
    stay_id = caster.identifier("stay_id")
    if caster.has(MINUTES_AFTER_ADMISSION):
        observed_at = _counted_times(caster, stay_id, admissions)
    else:
        observed_at = caster.timestamp("observed_at")
    retracted = caster.boolean(RETRACTED)
    columns: dict[str, Column] = {
        "stay_id": stay_id,
        "observed_at": observed_at,
        "variable": caster.text("variable"),
        "value": caster.number("value"),
        RETRACTED: retracted,
        "hours_ahead": _hours_ahead(observed_at, raw, config),
    }
    return Cast(columns, tuple(caster.findings))


def _counted_times(caster: _Caster, stay_id: TextColumn, admissions: Admissions) -> np.ndarray:
    """Admission + minutes where minutes were received, the timestamp elsewhere."""
    counted = caster._codes(MINUTES_AFTER_ADMISSION) >= 0
    minutes = caster.number(MINUTES_AFTER_ADMISSION, "observed_at")
    admitted = _at(admissions(stay_id.distinct), stay_id.codes, MISSING_TIME)
    readable = counted & ~np.isnan(minutes)
    known = readable & (admitted != MISSING_TIME)
    usable = known & (np.abs(minutes) < 1e9)
    moments = np.full(len(counted), MISSING_TIME, dtype=np.int64)
    moments[usable] = admitted[usable] + np.round(minutes[usable] * 60e6).astype(np.int64)
    caster.note("admission_unknown", "observed_at: counted from an admission that is not known",
                readable & ~known & ~stay_id.missing())  # fmt: skip
    caster.note("not_a_timestamp", "observed_at: too far from the admission", known & ~usable)
    if counted.all():
        return moments
    dated = _Caster(caster.raw.filter(pa.array(~counted)).combine_chunks(), caster.timezone)
    moments[~counted] = dated.timestamp("observed_at")
    for finding in dated.findings:
        if finding.rule in ("not_a_timestamp", IS_A_DAY.format(name="observed_at")):
            rows = np.zeros(len(counted), dtype=bool)
            rows[~counted] = finding.rows
            caster.note(finding.rule, finding.description, rows, finding.action)
    return moments


def cast_stays(raw: pa.Table, config: Config) -> Cast:
    """The columns of stays with the declared features; a length of stay may stand in for the discharge time."""
    caster = _Caster(raw, config.workspace.timezone)
    stay_id = caster.identifier("stay_id")
    admitted_at, discharged_at = caster.timestamp("admitted_at"), caster.timestamp("discharged_at", of_day="end")
    if caster.has(LOS_DAYS):
        days = caster.number(LOS_DAYS)
        caster.note("negative_length_of_stay", "los_days: below zero", days < 0)
        caster.note("length_of_stay_impossible", "los_days: over a thousand years", days > 365_250)
        discharged_at = _by_length(admitted_at, discharged_at, days)
    columns: dict[str, Column] = {
        "stay_id": stay_id,
        "patient_id": caster.identifier("patient_id") if "patient_id" in raw.column_names else stay_id,
        "admitted_at": admitted_at,
        "discharged_at": discharged_at,
        "died": caster.boolean("died"),
        **{name: caster.static(name) for name in config.features.numeric},
        **{name: caster.text(name) for name in config.features.categorical},
        RETRACTED: caster.boolean(RETRACTED),
        "hours_ahead": _hours_ahead(admitted_at, raw, config),
        "length_of_stay_days": _between(admitted_at, discharged_at) / _US_PER_DAY,
    }
    return Cast(columns, tuple(caster.findings))


def _by_length(admitted_at: np.ndarray, discharged_at: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Admission + length where no discharge was received."""
    usable = (discharged_at == MISSING_TIME) & (admitted_at != MISSING_TIME) & (days >= 0) & (days <= 365_250)
    filled = discharged_at.copy()
    filled[usable] = admitted_at[usable] + np.round(days[usable] * _US_PER_DAY).astype(np.int64)
    return filled


def _between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """end - start in microseconds as float64, NaN where either is missing."""
    known = (start != MISSING_TIME) & (end != MISSING_TIME)
    return np.where(known, np.where(known, end, 0) - np.where(known, start, 0).astype(np.float64), np.nan)


def _hours_ahead(moments: np.ndarray, raw: pa.Table, config: Config) -> np.ndarray:
    days = raw.column("extract_date").cast(pa.int32()).to_numpy()
    distinct, code = np.unique(days, return_inverse=True)
    ends = np.array([_end_us(date(1970, 1, 1) + timedelta(days=int(day)), config) for day in distinct], dtype=np.int64)
    return _between(ends[code], moments) / _US_PER_HOUR


def _end_us(day: date, config: Config) -> int:
    end = datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(config.workspace.timezone))
    return int(end.timestamp()) * 1_000_000
