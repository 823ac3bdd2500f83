"""Raw rows as text to typed rows; what cannot be read becomes a finding instead of a silent null."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from medlstm.config import Config
from medlstm.parsing import parse_booleans, parse_numbers, parse_text, parse_timestamps
from medlstm.tables import UNPARSED


@dataclass(frozen=True)
class Finding:
    """Rows [n] bool that break a rule, and why in words for the quarantine; never a value of the row."""

    rule: str
    description: str
    rows: np.ndarray


@dataclass(frozen=True)
class Cast:
    """Typed columns of n raw rows, in their order, and the rows whose text could not be read.

    Beside the table's own columns there are helper columns for the contract: `hours_ahead`, hours from the end
    of the extract date to the row's own time, and for stays `length_of_stay_days`.
    """

    frame: pd.DataFrame
    findings: tuple[Finding, ...]


class _Caster:
    """Casts one column after the other and keeps what it found."""

    def __init__(self, raw: pd.DataFrame, timezone: str) -> None:
        self.raw = raw
        self.timezone = timezone
        self.findings: list[Finding] = []
        if UNPARSED in raw:
            self.note("ragged_line", "the line does not fit the header of its file", raw[UNPARSED].notna().to_numpy())

    def has(self, name: str) -> bool:
        return name in self.raw

    def text(self, name: str) -> pd.Series:
        return parse_text(self._column(name))

    def timestamp(self, name: str) -> pd.Series:
        parsed = parse_timestamps(self._column(name), self.timezone)
        self.note("not_a_timestamp", f"{name}: not an ISO 8601 timestamp", parsed.malformed)
        return parsed.values

    def number(self, name: str) -> pd.Series:
        parsed = parse_numbers(self._column(name))
        self.note("not_a_number", f"{name}: not a finite decimal number", parsed.malformed)
        return parsed.values

    def boolean(self, name: str) -> pd.Series:
        parsed = parse_booleans(self._column(name))
        self.note("not_a_boolean", f"{name}: neither true nor false", parsed.malformed)
        return parsed.values

    def _column(self, name: str) -> pd.Series:
        return self.raw[name] if name in self.raw else pd.Series(None, index=self.raw.index, dtype="str")

    def note(self, rule: str, description: str, rows: np.ndarray) -> None:
        if rows.any():
            self.findings.append(Finding(rule, description, rows))


def cast_observations(raw: pd.DataFrame, config: Config, extract_date: date) -> Cast:
    """stay_id, observed_at, variable, value and hours_ahead, from text columns of the same names."""
    caster = _Caster(raw, config.workspace.timezone)
    observed_at = caster.timestamp("observed_at")
    frame = pd.DataFrame(
        {
            "stay_id": caster.text("stay_id"),
            "observed_at": observed_at,
            "variable": caster.text("variable"),
            "value": caster.number("value"),
            "hours_ahead": _hours_ahead(observed_at, config, extract_date),
        }
    )
    return Cast(frame, tuple(caster.findings))


def cast_stays(raw: pd.DataFrame, config: Config, extract_date: date) -> Cast:
    """The columns of stays with the declared features; a length of stay may stand in for the discharge time."""
    caster = _Caster(raw, config.workspace.timezone)
    stay_id = caster.text("stay_id")
    admitted_at, discharged_at = caster.timestamp("admitted_at"), caster.timestamp("discharged_at")
    if caster.has("los_days"):
        days = caster.number("los_days")
        caster.note("negative_length_of_stay", "los_days: below zero", (days < 0).to_numpy())
        admitted_at, discharged_at = _from_length(admitted_at, discharged_at, days, config, extract_date)
    frame = pd.DataFrame(
        {
            "stay_id": stay_id,
            "patient_id": caster.text("patient_id") if caster.has("patient_id") else stay_id,
            "admitted_at": admitted_at,
            "discharged_at": discharged_at,
            "died": caster.boolean("died"),
            **{name: caster.number(name) for name in config.features.numeric},
            **{name: caster.text(name) for name in config.features.categorical},
            "hours_ahead": _hours_ahead(admitted_at, config, extract_date),
            "length_of_stay_days": (discharged_at - admitted_at).dt.total_seconds() / 86400,
        }
    )
    return Cast(frame, tuple(caster.findings))


def _from_length(
    admitted_at: pd.Series, discharged_at: pd.Series, days: pd.Series, config: Config, extract_date: date
) -> tuple[pd.Series, pd.Series]:
    """Admission + length = discharge. With no admission time at all the stay ended as the extract date began,
    or, with no length either, it began then and is still open."""
    length = pd.to_timedelta(days, unit="D").dt.as_unit("us")
    discharged_at = discharged_at.fillna(admitted_at + length)
    if admitted_at.notna().any():
        return admitted_at, discharged_at
    start = pd.Timestamp(_start_of(extract_date, config)).tz_convert("UTC").as_unit("us")
    ends = pd.Series(start, index=days.index, dtype=discharged_at.dtype)
    return (ends - length).fillna(ends), ends.where(days.notna())


def _hours_ahead(moments: pd.Series, config: Config, extract_date: date) -> pd.Series:
    end = pd.Timestamp(_start_of(extract_date + timedelta(days=1), config)).tz_convert("UTC")
    return (moments - end).dt.total_seconds() / 3600


def _start_of(day: date, config: Config) -> datetime:
    return datetime.combine(day, time(), tzinfo=ZoneInfo(config.workspace.timezone))
