"""The patients of a synthetic hospital: a latent severity per stay, and the signs, results and discharge it drives.

Log severity is a Brownian motion that drifts down by the stay's own recovery rate, with complications as jumps up;
a patient is fit to go when it falls below a threshold. The time to that is inverse Gaussian: skewed to the right,
and in part foreseeable from level and trend. All moments are whole minutes since 1970 in UTC, as int64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medlstm.synthetic.calendar import WARM_UP_DAYS, Calendar
from medlstm.synthetic.case_mix import (
    DISEASES,
    INTENSIVE_CARE,
    LABS,
    PLACEMENT_DAYS,
    PLACEMENT_SHARE,
    PLACEMENT_SHARE_ELSEWHERE,
    ROUND_MINUTES,
    VITALS,
    Variable,
)

HISTORY_DAYS = 14
_STEP_MINUTES = 180
_MAX_STAY_DAYS = 56
_DAY = 1440
_FIT_LOG_SEVERITY = np.log(0.25)
_HEALTHIEST = -0.2
_STEP_DOWN_LOG_SEVERITY = np.log(0.9)
_STEP_DOWN_SHARE = 0.4
_SEVERITY_SPREAD = 0.5
_DRIFT_SPREAD = 0.22
_WANDER_PER_SQRT_DAY = 0.1
_COMPLICATIONS_PER_DAY = 0.015
_DEATHS_PER_DAY = 0.008
_READMISSION_SHARE = 0.1


@dataclass(frozen=True)
class Course:
    """What truly happened until the window's end.

    `stays`: stay_id, patient_id, admitted_at, transferred_at (a far future where none), discharged_at (which may
    lie after the window), died, age, gender, disease, bmi, first_ward, ward. `rounds` (stay, taken_at and one column
    per vital sign) and `labs` (stay, sampled_at, variable, value) name a stay by its position.
    """

    calendar: Calendar
    stays: pd.DataFrame
    rounds: pd.DataFrame
    labs: pd.DataFrame


@dataclass(frozen=True)
class _Severity:
    """Log severity [stays, steps] every _STEP_MINUTES from each stay's admission."""

    log: np.ndarray
    admitted_at: np.ndarray

    def at(self, stay: np.ndarray, minutes: np.ndarray) -> np.ndarray:
        """How ill each stay is at a moment: 1 at a typical admission, 0 once fit to go; linear between steps."""
        position = np.clip((minutes - self.admitted_at[stay]) / _STEP_MINUTES, 0, self.log.shape[1] - 1.001)
        step = position.astype(np.int64)
        share = position - step
        log = self.log[stay, step] * (1 - share) + self.log[stay, step + 1] * share
        return np.maximum(1 - log / _FIT_LOG_SEVERITY, _HEALTHIEST)


def simulate_course(calendar: Calendar, days: int, admissions_per_day: float, generator: np.random.Generator) -> Course:
    """Stays in a bed within `days` dates or HISTORY_DAYS before them, and what was measured until the last date.

    The hospital runs WARM_UP_DAYS before the window, so that it is full when the window opens.
    """
    admitted = _admit(calendar, days, admissions_per_day, generator)
    severity = _simulate_severity(admitted, generator)
    stays = _discharge(admitted, severity, calendar, generator)
    stays = _readmit(stays, generator)
    opened, closed = calendar.at(np.array([-HISTORY_DAYS, days]), np.zeros(2))
    seen = ((stays["discharged_at"] >= opened) & (stays["admitted_at"] < closed)).to_numpy()
    stays = stays[seen].reset_index(drop=True)
    severity = _Severity(severity.log[seen], severity.admitted_at[seen])
    until = np.minimum(stays["discharged_at"].to_numpy(), closed)
    signs = np.array([DISEASES[name].signs for name in stays["disease"]])
    rounds = _make_rounds(stays, severity, signs[:, : len(VITALS)], until, generator)
    labs = _draw_labs(stays, severity, signs[:, len(VITALS) :], until, calendar, generator)
    return Course(calendar, stays, rounds, labs)


def _admit(calendar: Calendar, days: int, per_day: float, generator: np.random.Generator) -> pd.DataFrame:
    """Who comes in, and when: fewer at weekends, most by day."""
    every_day = np.arange(-WARM_UP_DAYS, days)
    expected = per_day * np.where(calendar.weekday(every_day) < 5, 1.1, 0.75)
    day = np.repeat(every_day, generator.poisson(expected))
    count = len(day)
    hours = np.clip(generator.normal(13.5, 4.5, count), 0, 23.98)
    names = np.array(list(DISEASES))
    shares = np.array([disease.share for disease in DISEASES.values()])
    disease = names[generator.choice(len(names), count, p=shares / shares.sum())]
    ages = np.array([DISEASES[name].age for name in disease])
    pick = generator.random(count)
    frame = pd.DataFrame(
        {
            "admitted_at": calendar.at(day, hours),
            "age": np.clip(np.rint(generator.normal(ages[:, 0], ages[:, 1])), 18, 99).astype(np.int64),
            "gender": np.where(generator.random(count) < 0.49, "female", "male"),
            "disease": disease,
            "bmi": np.round(np.clip(22.5 + generator.gamma(4.0, 1.1, count), 16, 52), 1),
            "ward": [DISEASES[name].wards[int(p * len(DISEASES[name].wards))]
                     for name, p in zip(disease, pick, strict=True)],
        }
    )  # fmt: skip
    return frame.sort_values("admitted_at", kind="stable", ignore_index=True)


def _simulate_severity(stays: pd.DataFrame, generator: np.random.Generator) -> _Severity:
    count, steps = len(stays), _MAX_STAY_DAYS * _DAY // _STEP_MINUTES
    step_days = _STEP_MINUTES / _DAY
    older = (stays["age"].to_numpy() - 65) / 20
    typical = [(DISEASES[name].severity, DISEASES[name].recovery) for name in stays["disease"]]
    severity, recovery = np.array(typical).T
    first = np.log(severity) + 0.08 * older + generator.normal(0, _SEVERITY_SPREAD, count)
    drift = recovery * np.exp(-0.14 * older + generator.normal(0, _DRIFT_SPREAD, count))
    moves = generator.standard_normal((count, steps), dtype=np.float32) * (_WANDER_PER_SQRT_DAY * step_days**0.5)
    moves -= drift.astype(np.float32)[:, None] * step_days
    complicated = generator.random((count, steps), dtype=np.float32) < _COMPLICATIONS_PER_DAY * step_days
    moves[complicated] += generator.uniform(0.4, 1.0, int(complicated.sum()))
    moves[:, 0] = first
    return _Severity(np.cumsum(moves, axis=1), stays["admitted_at"].to_numpy())


def _discharge(
    stays: pd.DataFrame, severity: _Severity, calendar: Calendar, generator: np.random.Generator
) -> pd.DataFrame:
    """Add when and how each stay ends, and the step down from intensive care."""
    count, admitted = len(stays), stays["admitted_at"].to_numpy()
    share = stays["ward"].map(PLACEMENT_SHARE).fillna(PLACEMENT_SHARE_ELSEWHERE).to_numpy()
    waits = generator.random(count) < share
    fit = admitted + np.maximum(_first_below(severity.log, _FIT_LOG_SEVERITY), 2) * _STEP_MINUTES
    fit = fit + np.floor(waits * generator.exponential(PLACEMENT_DAYS * _DAY, count)).astype(np.int64)
    home = _next_discharge_round(fit, calendar, generator)
    deadly = np.cumsum(np.exp(2.2 * severity.log) * (_DEATHS_PER_DAY * _STEP_MINUTES / _DAY), axis=1)
    reached = deadly > generator.exponential(1.0, count)[:, None]
    death = admitted + (reached.argmax(axis=1) + 1) * _STEP_MINUTES + generator.integers(0, _STEP_MINUTES, count)
    died = reached.any(axis=1) & (death < home)
    discharged = np.where(died, death, home)
    intensive_share = np.array([DISEASES[name].intensive_share for name in stays["disease"]])
    intensive = generator.random(count) < intensive_share * np.exp(severity.log[:, 0])
    stepped = admitted + np.maximum(_first_below(severity.log, _STEP_DOWN_LOG_SEVERITY), 4) * _STEP_MINUTES
    transferred = np.where(intensive, stepped + generator.integers(0, _STEP_MINUTES, count), admitted)
    never = (transferred > discharged - 12 * 60) | (generator.random(count) > _STEP_DOWN_SHARE)
    ward = np.where(intensive & never, INTENSIVE_CARE, stays["ward"])
    return stays.assign(
        discharged_at=discharged,
        died=died,
        transferred_at=np.where(intensive & ~never, transferred, np.iinfo(np.int64).max),
        first_ward=np.where(intensive, INTENSIVE_CARE, stays["ward"]),
        ward=ward,
    )


def _first_below(log_severity: np.ndarray, threshold: float) -> np.ndarray:
    """The first step [stays] below the threshold, the last one where there is none."""
    below = log_severity < threshold
    return np.where(below.any(axis=1), below.argmax(axis=1), log_severity.shape[1] - 1)


def _next_discharge_round(fit: np.ndarray, calendar: Calendar, generator: np.random.Generator) -> np.ndarray:
    """Patients leave between ten and five; of those due at a weekend, some only on Monday."""
    day, hours = calendar.day(fit), generator.uniform(10, 17, len(fit))
    day = day + (calendar.at(day, hours) < fit)
    kept = (calendar.weekday(day) >= 5) & (generator.random(len(fit)) < 0.25)
    day = np.where(kept, day + 7 - calendar.weekday(day), day)
    return calendar.at(day, hours)


def _readmit(stays: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Give some stays the person of an earlier stay: same disease and gender, like age, home for 1 to 40 days."""
    admitted, discharged = stays["admitted_at"].to_numpy(), stays["discharged_at"].to_numpy()
    age, alive = stays["age"].to_numpy(), ~stays["died"].to_numpy()
    kind = stays.groupby(["disease", "gender"]).ngroup().to_numpy()
    person = np.arange(len(stays))
    free = np.ones(len(stays), dtype=bool)
    for stay in np.flatnonzero(generator.random(len(stays)) < _READMISSION_SHARE):
        home = admitted[stay] - discharged[:stay]
        fits = free[:stay] & alive[:stay] & (kind[:stay] == kind[stay]) & (np.abs(age[:stay] - age[stay]) <= 4)
        earlier = np.flatnonzero(fits & (home >= _DAY) & (home <= 40 * _DAY))
        if len(earlier):
            source = generator.choice(earlier)
            free[source] = False
            person[stay] = person[source]
    numbers = generator.permutation(len(stays)) + 100_000
    identified = stays.assign(
        stay_id=[f"C{number}" for number in range(500_000, 500_000 + len(stays))],
        patient_id=[f"P{number}" for number in numbers[person]],
    )
    return identified.assign(**{name: stays[name].to_numpy()[person] for name in ("age", "bmi")})


def _make_rounds(
    stays: pd.DataFrame, severity: _Severity, signs: np.ndarray, until: np.ndarray, generator: np.random.Generator
) -> pd.DataFrame:
    """Vital signs at each nursing round: as often as the ward of the moment makes them."""
    admitted, transferred = stays["admitted_at"].to_numpy(), stays["transferred_at"].to_numpy()
    middle = np.minimum(transferred, until)
    parts = [(admitted, middle, "first_ward"), (middle, until, "ward")]
    stay, taken = zip(*(_round_moments(begin, end, stays[ward], generator) for begin, end, ward in parts), strict=True)
    frame = pd.DataFrame({"stay": np.concatenate(stay), "taken_at": np.concatenate(taken)})
    frame = frame.sort_values(["taken_at", "stay"], kind="stable", ignore_index=True)
    return frame.assign(**_measured(VITALS, frame["stay"].to_numpy(), frame["taken_at"].to_numpy(), severity, signs,
                                    generator))  # fmt: skip


def _round_moments(
    begin: np.ndarray, end: np.ndarray, ward: pd.Series, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    interval = ward.map(ROUND_MINUTES).to_numpy() * generator.uniform(0.9, 1.1, len(ward))
    count = np.ceil(np.maximum(end - begin, 0) / interval).astype(np.int64)
    stay = np.repeat(np.arange(len(ward)), count)
    number = _count_up(count)
    offset = 5 + (number + generator.uniform(0, 0.5, len(number))) * interval[stay]
    taken = begin[stay] + np.floor(offset).astype(np.int64)
    within = taken < end[stay]
    return stay[within], taken[within]


def _count_up(counts: np.ndarray) -> np.ndarray:
    """0, 1 … count - 1 for each count, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _draw_labs(
    stays: pd.DataFrame,
    severity: _Severity,
    signs: np.ndarray,
    until: np.ndarray,
    calendar: Calendar,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Blood at admission and on some mornings, the more often the iller; lactate in the main for the very ill."""
    admitted = stays["admitted_at"].to_numpy()
    mornings = np.maximum(calendar.day(until) - calendar.day(admitted), 0)
    stay = np.repeat(np.arange(len(stays)), mornings)
    day = calendar.day(admitted)[stay] + 1 + _count_up(mornings)
    morning = calendar.at(day, generator.uniform(5.5, 7.0, len(day)))
    panel = admitted + generator.integers(15, 60, len(stays))
    ward = np.where(morning < stays["transferred_at"].to_numpy()[stay], stays["first_ward"].to_numpy()[stay],
                    stays["ward"].to_numpy()[stay])  # fmt: skip
    intensive = ward == INTENSIVE_CARE
    ill = np.clip(severity.at(stay, morning), 0, 1.5)
    usual = np.where(intensive, 0.95, 0.5 + 0.35 * np.minimum(ill, 1.0))
    parts = []
    for position, variable in enumerate(LABS):
        likely = np.where(intensive, 0.9, 0.15 * ill) if variable.name == "lactate" else usual
        drawn = (generator.random(len(stay)) < likely) & (morning > admitted[stay] + 120) & (morning < until[stay])
        at_admission = (generator.random(len(stays)) < 0.95) & (panel < until)
        who = np.concatenate([np.flatnonzero(at_admission), stay[drawn]])
        when = np.concatenate([panel[at_admission], morning[drawn]])
        values = _measured([variable], who, when, severity, signs[:, [position]], generator)[variable.name]
        parts.append(pd.DataFrame({"stay": who, "sampled_at": when, "variable": variable.name, "value": values}))
    return pd.concat(parts).sort_values(["sampled_at", "stay", "variable"], kind="stable", ignore_index=True)


def _measured(
    variables: Sequence[Variable],
    stay: np.ndarray,
    moments: np.ndarray,
    severity: _Severity,
    signs: np.ndarray,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Values [moments] of each variable: the person's own level, the illness, and noise that grows with it."""
    columns = {}
    for position, variable in enumerate(variables):
        illness = severity.at(stay, moments - int(variable.lag_hours * 60)) * variable.effect * signs[stay, position]
        own = generator.normal(variable.rest, variable.between_people, len(signs))[stay]
        noise = generator.standard_normal(len(stay)) * (variable.noise + 0.1 * np.abs(illness))
        values = np.clip(own + illness + noise, variable.lowest, variable.highest)
        columns[variable.name] = np.round(values, variable.decimals)
    return columns
