"""What a synthetic hospital treats and measures: vital signs, laboratory results, diseases and wards."""

from dataclasses import dataclass

INTENSIVE_CARE = "intensive_care"


@dataclass(frozen=True)
class Variable:
    """A measurement at rest and in illness: `effect` per unit of severity, `lag_hours` behind it.

    An impossible entry of it is `slip[0]` times the value plus `slip[1]`: a wrong unit, a lost point, a code.
    """

    name: str
    rest: float
    between_people: float
    effect: float
    noise: float
    lowest: float
    highest: float
    decimals: int
    slip: tuple[float, float]
    lag_hours: float = 0.0


VITALS = (
    Variable("heart_rate", 76, 7, 16, 5, 32, 190, 0, slip=(0, 999)),
    Variable("systolic_bp", 130, 12, -14, 8, 55, 220, 0, slip=(10, 0)),
    Variable("respiratory_rate", 15, 1.3, 4.5, 1.4, 7, 48, 0, slip=(0, 999)),
    Variable("temperature", 36.6, 0.15, 0.7, 0.22, 33.5, 41.5, 1, slip=(1.8, 32)),
    Variable("oxygen_saturation", 97, 0.9, -3, 0.9, 62, 100, 0, slip=(10, 0)),
)
LABS = (
    Variable("c_reactive_protein", 5, 2, 65, 3, 0.5, 480, 1, slip=(0, -1), lag_hours=15),
    Variable("white_cells", 7.2, 1.2, 4, 0.7, 1.5, 60, 1, slip=(1000, 0), lag_hours=6),
    Variable("creatinine", 0.95, 0.18, 0.5, 0.07, 0.3, 12, 2, slip=(0, 999), lag_hours=9),
    Variable("lactate", 1.1, 0.2, 0.9, 0.2, 0.3, 20, 1, slip=(0, -1)),
)


@dataclass(frozen=True)
class Disease:
    """How often, where, whom and how ill.

    `age` is mean and spread in years, `severity` the median at admission, `recovery` the median fall of its
    logarithm a day; `signs` scales the effect on each of VITALS and then LABS.
    """

    share: float
    wards: tuple[str, ...]
    intensive_share: float
    age: tuple[float, float]
    severity: float
    recovery: float
    signs: tuple[float, ...]


DISEASES = {
    "appendicitis": Disease(
        0.10, ("surgery",), 0.02, (38, 16), 0.85, 0.58,
        (0.9, 0.6, 0.7, 1.2, 0.5, 1.4, 1.4, 0.5, 0.6),
    ),
    "copd_exacerbation": Disease(
        0.11, ("medicine",), 0.07, (70, 9), 1.0, 0.31,
        (0.9, 0.5, 1.5, 0.8, 1.5, 0.9, 0.9, 0.5, 0.7),
    ),
    "gastrointestinal_bleed": Disease(
        0.09, ("medicine",), 0.08, (66, 14), 1.0, 0.45,
        (1.2, 1.2, 0.8, 0.5, 0.6, 0.6, 0.8, 0.9, 1.1),
    ),
    "heart_failure": Disease(
        0.15, ("cardiology", "cardiology", "geriatrics"), 0.06, (76, 9), 1.05, 0.30,
        (1.0, 0.7, 1.3, 0.5, 1.3, 0.6, 0.6, 1.2, 0.7),
    ),
    "hip_fracture": Disease(
        0.10, ("surgery", "surgery", "geriatrics"), 0.04, (79, 9), 1.05, 0.24,
        (0.9, 0.8, 0.7, 0.7, 0.8, 1.1, 0.9, 0.8, 0.6),
    ),
    "myocardial_infarction": Disease(
        0.11, ("cardiology",), 0.20, (67, 12), 1.1, 0.45,
        (0.9, 1.1, 0.9, 0.6, 0.8, 0.7, 0.9, 0.8, 0.9),
    ),
    "pneumonia": Disease(
        0.13, ("medicine", "medicine", "geriatrics"), 0.10, (71, 14), 1.1, 0.36,
        (1.0, 0.8, 1.3, 1.3, 1.4, 1.5, 1.3, 0.7, 0.8),
    ),
    "sepsis": Disease(
        0.05, ("medicine",), 0.60, (69, 13), 1.6, 0.26,
        (1.3, 1.4, 1.2, 1.4, 1.1, 1.6, 1.4, 1.3, 1.6),
    ),
    "stroke": Disease(
        0.09, ("neurology", "neurology", "geriatrics"), 0.12, (74, 11), 1.1, 0.28,
        (0.8, 0.3, 0.8, 0.8, 0.8, 0.8, 0.8, 0.6, 0.6),
    ),
    "urinary_infection": Disease(
        0.07, ("medicine", "geriatrics"), 0.03, (74, 15), 0.9, 0.45,
        (0.9, 0.6, 0.6, 1.2, 0.5, 1.2, 1.2, 0.9, 0.6),
    ),
}  # fmt: skip
ROUND_MINUTES = {
    "cardiology": 240, "geriatrics": 360, INTENSIVE_CARE: 60, "medicine": 300, "neurology": 240, "surgery": 300,
}  # fmt: skip
WARDS = tuple(name for name in ROUND_MINUTES if name != INTENSIVE_CARE)
# Share of patients who wait for a place elsewhere once they are fit to go, and for how long in the mean.
PLACEMENT_SHARE = {"geriatrics": 0.2, "neurology": 0.15}
PLACEMENT_SHARE_ELSEWHERE = 0.05
PLACEMENT_DAYS = 2.0
