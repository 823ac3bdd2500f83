"""How wrong earlier nights were: each of them, and all as one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medlstm.report.content import NightError


@dataclass(frozen=True)
class EarlierNights:
    """Errors of earlier nights, weighted by their stays; baseline and promise where every night has one. Of the
    `settled_nights` of them, or where there are none of stays that have ended alone."""

    settled_nights: int
    predictions: int
    mae_days: float
    median_mae_days: float
    baseline_mae_days: float | None
    promised_mae_days: float | None
    coverage: float | None
    coverage_predictions: int

    @property
    def over_promise(self) -> float | None:
        """By which share the error is above the promised one; below 0 where it is smaller."""
        return None if not self.promised_mae_days else self.mae_days / self.promised_mae_days - 1


def listed_nights(nights: Sequence[NightError], smallest: int) -> list[NightError]:
    """The nights that may be shown one by one: the mean error of a few stays is close to a single patient's."""
    return [night for night in nights if night.stays >= smallest]


def measured_nights(nights: Sequence[NightError]) -> list[NightError]:
    """The nights with at least one ended stay and finite errors, oldest first."""
    usable = [night for night in nights
              if night.stays > 0 and math.isfinite(night.mae_days) and math.isfinite(night.median_mae_days)]
    return sorted(usable, key=lambda night: night.as_of)


def earlier_nights(nights: Sequence[NightError], smallest: int = 1) -> EarlierNights | None:
    """The settled ones of earlier nights as one, or where there are none all of them; None where they are of fewer than
    the `smallest` number of predictions to be shown."""
    settled = [night for night in nights if night.settled]
    nights = settled or nights
    stays = sum(night.stays for night in nights)
    if stays < max(smallest, 1):
        return None
    checked = [(night.coverage, night.stays) for night in nights
               if night.coverage is not None and math.isfinite(night.coverage)]
    checked_stays = sum(weight for _, weight in checked)
    return EarlierNights(
        settled_nights=len(settled),
        predictions=stays,
        mae_days=sum(night.mae_days * night.stays for night in nights) / stays,
        median_mae_days=sum(night.median_mae_days * night.stays for night in nights) / stays,
        baseline_mae_days=_weighted([(night.baseline_mae_days, night.stays) for night in nights]),
        promised_mae_days=_weighted([(night.promised_mae_days, night.stays) for night in nights]),
        coverage=sum(share * weight for share, weight in checked) / checked_stays if checked else None,
        coverage_predictions=checked_stays,
    )


def _weighted(errors: Sequence[tuple[float | None, int]]) -> float | None:
    """The mean of (error, stays); None where a night has none."""
    known = [(error, stays) for error, stays in errors if error is not None]
    if len(known) < len(errors):
        return None
    return sum(error * stays for error, stays in known) / sum(stays for _, stays in known)
