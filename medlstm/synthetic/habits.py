"""What hospitals do that a tidy feed does not: results, diagnoses, transfers and whole feeds that are told late."""

from dataclasses import dataclass

import numpy as np

from medlstm.synthetic.calendar import Calendar
from medlstm.synthetic.case_mix import DISEASES, WARDS

_HOUR = 60
_VERIFIED_HOURS = (1, 36)
_CORRECTED_SHARE = 0.03
_MOVED_SHARE = 0.2
_WORKING_DIAGNOSIS_SHARE = 0.4
_WRONG_WORKING_SHARE = 0.25
_OUTAGE_DAYS = 2


@dataclass(frozen=True)
class Habits:
    """Each a switch: laboratory results are verified, and sent, 1 to 36 hours after sampling; 3 % of them are sent
    wrong first and corrected a day later; a fifth of the patients move to another ward; a diagnosis is coded at the
    discharge, before which four in ten have a working one, of which a quarter is wrong; and the feed of vital signs
    fails for two days and is delivered on the third."""

    slow_results: bool = False
    corrected_results: bool = False
    transfers: bool = False
    coded_at_discharge: bool = False
    feed_outage: bool = False


TIDY = Habits()
ALL_HABITS = Habits(True, True, True, True, True)


def verified_day(
    sampled_at: np.ndarray, calendar: Calendar, habits: Habits, generator: np.random.Generator
) -> np.ndarray:
    """The day on which each result is sent."""
    if not habits.slow_results:
        return calendar.day(sampled_at)
    return calendar.day(sampled_at + (generator.uniform(*_VERIFIED_HOURS, len(sampled_at)) * _HOUR).astype(np.int64))


def corrected_too(labs: int, habits: Habits, generator: np.random.Generator) -> np.ndarray:
    """Which results are sent wrong first, beside those that are in any feed."""
    if not habits.corrected_results:
        return np.zeros(labs, dtype=bool)
    return generator.random(labs) < _CORRECTED_SHARE


def moves(
    admitted: np.ndarray, left: np.ndarray, ward: np.ndarray, habits: Habits, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The day from which each stay is in another ward (after it has left where there is none), and that ward."""
    if not habits.transfers:
        return left + 1, ward
    day = admitted + 1 + (generator.random(len(ward)) * np.maximum(left - admitted - 1, 0)).astype(np.int64)
    goes = (generator.random(len(ward)) < _MOVED_SHARE) & (day < left)
    return np.where(goes, day, left + 1), np.where(goes, generator.choice(WARDS, len(ward)), ward)


def working_diagnosis(disease: np.ndarray, habits: Habits, generator: np.random.Generator) -> np.ndarray:
    """What is known of each stay's disease before its discharge; "" where nothing is."""
    if not habits.coded_at_discharge:
        return disease
    has = generator.random(len(disease)) < _WORKING_DIAGNOSIS_SHARE
    wrong = generator.random(len(disease)) < _WRONG_WORKING_SHARE
    return np.where(has, np.where(wrong, generator.choice(list(DISEASES), len(disease)), disease), "")


def delivered_day(day: np.ndarray, days: int, habits: Habits) -> np.ndarray:
    """The day on which the vital signs of each day arrive."""
    if not habits.feed_outage:
        return day
    first = 3 * days // 4
    return np.where((day >= first) & (day < first + _OUTAGE_DAYS), first + _OUTAGE_DAYS, day)
