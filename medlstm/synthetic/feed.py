"""What a synthetic hospital's nightly extract says of its patients, with the faults that such extracts have.

Each planted fault is counted in rows of the lake: a laboratory line is one, a vital sign of a round is one.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medlstm.synthetic.calendar import Calendar
from medlstm.synthetic.case_mix import LABS, VITALS
from medlstm.synthetic.course import Course
from medlstm.synthetic.habits import (
    TIDY,
    Habits,
    corrected_too,
    delivered_day,
    moves,
    verified_day,
    working_diagnosis,
)

_UNREADABLE_SIGNS = ("refused", "artefact")
_UNREADABLE_RESULTS = ("haemolysed", "see report")
_SIGN_FAULTS = {"missing_vital_sign": 0.06, "impossible_value": 0.0015, "text_for_number": 0.0008}
_RESULT_FAULTS = {
    "missing_lab_result": 0.004,
    "impossible_value": 0.003,
    "text_for_number": 0.003,
    "late_measurement": 0.015,
    "corrected_lab_result": 0.006,
    "exact_duplicate": 0.006,
}
_OUTAGES_PER_WEEK = 1
_OUTAGE_FROM_HOUR = 16
_LATE_DISCHARGE_SHARE = 0.025
_WRONG_ORDER_PER_DAY = 0.4
_WITHOUT_ID_PER_DAY = 0.5
_BMI_NEXT_DAY_SHARE = 0.08
_BMI_NEVER_SHARE = 0.03
_REPEATED_STAY_SHARE = 0.01
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Feed:
    """The lines of all dates as text, in the order in which they arrive; `day` counts the dates from 0."""

    stays: pd.DataFrame
    vitals: pd.DataFrame
    labs: pd.DataFrame
    faults: Counter[str]


@dataclass(frozen=True)
class _Untidy:
    """The habits, with chances of their own, so that a tidy feed is the same without them."""

    habits: Habits
    generator: np.random.Generator


def extract_feed(course: Course, days: int, generator: np.random.Generator, habits: Habits = TIDY) -> Feed:
    """The extracts of `days` dates; what arrives after the last of them is not part of it."""
    faults: Counter[str] = Counter()
    untidy = _Untidy(habits, np.random.default_rng(int(generator.bit_generator.seed_seq.generate_state(1)[0])))
    stays = _stay_lines(course, days, generator, faults, untidy)
    vitals = _vital_lines(course, days, generator, faults, untidy)
    labs = _lab_lines(course, days, generator, faults, untidy)
    return Feed(stays, vitals, labs, faults)


def local_texts(minutes: np.ndarray, calendar: Calendar) -> np.ndarray:
    """Moments as local ISO 8601 text without an offset, to the minute."""
    moments = pd.DatetimeIndex(minutes.astype("datetime64[m]").astype("datetime64[s]"), tz="UTC")
    return np.datetime_as_string(moments.tz_convert(calendar.timezone).tz_localize(None).to_numpy(), unit="m")


def _stay_lines(
    course: Course, days: int, generator: np.random.Generator, faults: Counter[str], untidy: _Untidy
) -> pd.DataFrame:
    """One line per stay and date on which it was admitted, changed or discharged."""
    stays, calendar = course.stays, course.calendar
    admitted = np.maximum(calendar.day(stays["admitted_at"].to_numpy()), 0)
    left, late = _reported_discharges(calendar.day(stays["discharged_at"].to_numpy()), generator)
    moved = np.where(stays["transferred_at"] < _NEVER, calendar.day(stays["transferred_at"].to_numpy()), _NEVER)
    weighed = _weighed(calendar.day(stays["admitted_at"].to_numpy()), generator)
    nameless = _one_on_some_days(admitted, np.ones(len(stays), dtype=bool), _WITHOUT_ID_PER_DAY, days - 1, generator)
    turned = _one_on_some_days(left, ~nameless & ~late, _WRONG_ORDER_PER_DAY, days - 1, generator)
    disease = stays["disease"].to_numpy()
    working = working_diagnosis(disease, untidy.habits, untidy.generator)
    again, third_ward = moves(admitted, left, stays["ward"].to_numpy(), untidy.habits, untidy.generator)
    changes = (
        admitted,
        np.where(again < left, again, _NEVER),
        np.where(moved > admitted, moved, _NEVER),
        left,
        np.where((weighed > admitted) & (weighed <= left), weighed, _NEVER),
        np.where(nameless, admitted + 1, _NEVER),
        np.where(turned, left + 1, _NEVER),
    )
    stay, day = _distinct_changes(changes, days)
    wrong_order = turned[stay] & (day == left[stay])
    came, went = (stays[name].to_numpy()[stay] for name in ("admitted_at", "discharged_at"))
    ended = np.where(wrong_order, came - generator.integers(30, 1200, len(stay)), went)
    known = left[stay] <= day
    has_bmi = weighed[stay] <= day
    has_id = ~(nameless[stay] & (day == admitted[stay]))
    lines = pd.DataFrame(
        {
            "day": day,
            "case_id": np.where(has_id, stays["stay_id"].to_numpy()[stay], ""),
            "patient_id": stays["patient_id"].to_numpy()[stay],
            "admission": local_texts(came, calendar),
            "discharge": np.where(known, local_texts(ended, calendar), ""),
            "died": np.where(known, np.where(stays["died"].to_numpy()[stay], "true", "false"), ""),
            "age": stays["age"].to_numpy()[stay].astype(str),
            "gender": stays["gender"].to_numpy()[stay],
            "disease": np.where(known, disease[stay], working[stay]),
            "bmi": np.where(has_bmi, np.char.mod("%.1f", stays["bmi"].to_numpy())[stay], ""),
            "ward": np.where(moved[stay] <= day, stays["ward"].to_numpy()[stay], stays["first_ward"].to_numpy()[stay]),
        }
    )
    lines["ward"] = np.where(again[stay] <= day, third_ward[stay], lines["ward"])
    faults["stay_without_id"] += int((~has_id).sum())
    faults["discharge_before_admission"] += int(wrong_order.sum())
    faults["late_discharge"] += int((late[stay] & (day == left[stay])).sum())
    faults["missing_bmi"] += int((~has_bmi).sum())
    return _repeated(lines, generator.random(len(lines)) < _REPEATED_STAY_SHARE, faults)


def _reported_discharges(left: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The day on which each discharge is reported, and whether that is days late."""
    late = (generator.random(len(left)) < _LATE_DISCHARGE_SHARE) & (left >= 0)
    return np.maximum(left, 0) + late * generator.integers(1, 5, len(left)), late


def _weighed(admitted: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The day from which each stay's body mass index is known."""
    draw = generator.random(len(admitted))
    never, next_day = draw < _BMI_NEVER_SHARE, draw < _BMI_NEVER_SHARE + _BMI_NEXT_DAY_SHARE
    return np.where(never, _NEVER, admitted + next_day)


def _one_on_some_days(
    day: np.ndarray, eligible: np.ndarray, per_day: float, days: int, generator: np.random.Generator
) -> np.ndarray:
    """Mark [stays] one eligible stay on each of a share of the days."""
    marked = np.zeros(len(day), dtype=bool)
    for chosen in np.flatnonzero(generator.random(days) < per_day):
        candidates = np.flatnonzero(eligible & (day == chosen))
        if len(candidates):
            marked[generator.choice(candidates)] = True
    return marked


def _distinct_changes(changes: tuple[np.ndarray, ...], days: int) -> tuple[np.ndarray, np.ndarray]:
    """(stay, day) of every change within the dates, once, by day."""
    stays = np.tile(np.arange(len(changes[0])), len(changes))
    day = np.concatenate(changes)
    pairs = pd.DataFrame({"day": day, "stay": stays})[day < days].drop_duplicates().sort_values(["day", "stay"])
    return pairs["stay"].to_numpy(), pairs["day"].to_numpy()


def _vital_lines(
    course: Course, days: int, generator: np.random.Generator, faults: Counter[str], untidy: _Untidy
) -> pd.DataFrame:
    """One line per nursing round; what was not measured is blank."""
    stays, rounds, calendar = course.stays, course.rounds, course.calendar
    stay, taken = rounds["stay"].to_numpy(), rounds["taken_at"].to_numpy()
    day, delayed = np.maximum(calendar.day(taken), 0), np.zeros(len(rounds), dtype=bool)
    before_transfer = taken < stays["transferred_at"].to_numpy()[stay]
    ward = np.where(before_transfer, stays["first_ward"].to_numpy()[stay], stays["ward"].to_numpy()[stay])
    wards = np.unique(ward)
    for outage in generator.choice(days - 1, max(1, days * _OUTAGES_PER_WEEK // 7), replace=False):
        from_moment = calendar.at(np.array([outage]), np.array([float(_OUTAGE_FROM_HOUR)]))
        delayed |= (day == outage) & (taken >= from_moment) & (ward == generator.choice(wards))
    columns, shares = {}, np.cumsum(list(_SIGN_FAULTS.values()))
    for variable in VITALS:
        values = rounds[variable.name].to_numpy()
        kind = np.searchsorted(shares, generator.random(len(rounds)), side="right")
        texts = np.char.mod(f"%.{variable.decimals}f", values).astype(object)
        impossible = np.char.mod(f"%.{variable.decimals}f", values * variable.slip[0] + variable.slip[1])
        unreadable = generator.choice(_UNREADABLE_SIGNS, len(rounds))
        columns[variable.name] = np.select([kind == 0, kind == 1, kind == 2], ["", impossible, unreadable], texts)
        for position, name in enumerate(_SIGN_FAULTS):
            faults[name] += int((kind == position).sum())
        faults["late_measurement"] += int((delayed & (kind != 0)).sum())
    lines = pd.DataFrame(
        {
            "day": delivered_day(day + delayed, days, untidy.habits),
            "case_id": stays["stay_id"].to_numpy()[stay],
            "taken_at": local_texts(taken, calendar),
            **columns,
        }
    )
    return lines.sort_values("day", kind="stable", ignore_index=True)


def _lab_lines(
    course: Course, days: int, generator: np.random.Generator, faults: Counter[str], untidy: _Untidy
) -> pd.DataFrame:
    """One line per result; a corrected one arrives wrong, and a day later right."""
    labs, calendar = course.labs, course.calendar
    shares = np.cumsum(list(_RESULT_FAULTS.values()))
    kinds = np.array([*_RESULT_FAULTS, ""])[np.searchsorted(shares, generator.random(len(labs)), side="right")]
    extra = corrected_too(len(labs), untidy.habits, untidy.generator) & (kinds == "")
    kinds = np.where(extra, "corrected_lab_result", kinds)
    day = np.maximum(verified_day(labs["sampled_at"].to_numpy(), calendar, untidy.habits, untidy.generator), 0)
    day = day + np.where(kinds == "late_measurement", generator.integers(1, 3, len(labs)), 0)
    kinds = np.where((kinds == "corrected_lab_result") & (day + 1 >= days), "", kinds)
    of_variable = {variable.name: variable for variable in LABS}
    values = labs["value"].to_numpy()
    decimals = labs["variable"].map({name: variable.decimals for name, variable in of_variable.items()})
    factor, offset = (
        labs["variable"].map({name: variable.slip[part] for name, variable in of_variable.items()}).to_numpy()
        for part in (0, 1)
    )
    sent = np.select(
        [kinds == "impossible_value", kinds == "corrected_lab_result"],
        [values * factor + offset, values * generator.uniform(0.4, 0.7, len(labs))],
        values,
    )
    texts = np.array([f"{value:.{places}f}" for value, places in zip(sent, decimals, strict=True)], dtype=object)
    unreadable = generator.choice(_UNREADABLE_RESULTS, len(labs))
    texts = np.select([kinds == "missing_lab_result", kinds == "text_for_number"], ["", unreadable], texts)
    lines = pd.DataFrame(
        {
            "day": day,
            "case_id": course.stays["stay_id"].to_numpy()[labs["stay"]],
            "sampled_at": local_texts(labs["sampled_at"].to_numpy(), calendar),
            "analyte": labs["variable"],
            "result": texts,
        }
    )
    wrong = kinds == "corrected_lab_result"
    right = [f"{value:.{places}f}" for value, places in zip(values[wrong], decimals[wrong], strict=True)]
    corrections = lines[wrong].assign(day=day[wrong] + 1, result=right)
    delivered = lines["day"] < days
    for name in _RESULT_FAULTS:
        if name != "exact_duplicate":
            faults[name] += int((kinds[delivered] == name).sum())
    lines = _repeated(lines[delivered], kinds[delivered] == "exact_duplicate", faults)
    return pd.concat([lines, corrections]).sort_values("day", kind="stable", ignore_index=True)


def _repeated(lines: pd.DataFrame, twice: np.ndarray, faults: Counter[str]) -> pd.DataFrame:
    """The lines, those of `twice` [lines] two times over."""
    faults["exact_duplicate"] += int(twice.sum())
    return lines.loc[lines.index.repeat(1 + twice.astype(np.int64))].reset_index(drop=True)
