"""Predictions of nights held against what is known of their stays by now, those that are still open included.

A night is settled when all but one in twenty of its stays have ended: before that, whoever has ended was there for
short, and an error over these alone says little of the night.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from medlstm.evaluation.censored_scores import FollowUp, brier_scores, concordance, integrated_brier_score
from medlstm.evaluation.metrics import bootstrapped_mean

SETTLED_OPEN_SHARE = 0.05


@dataclass(frozen=True)
class NightScore:
    """The predictions of a night: how many, of how many of them the stay has ended, and where the night is settled
    the mean absolute error in days beside the baseline's and the promised one, and the share of bounds that held."""

    as_of: date
    predictions: int
    ended: int
    mae_days: float | None
    baseline_mae_days: float | None
    promised_mae_days: float | None
    coverage: float | None

    @property
    def settled(self) -> bool:
        return is_settled(self.predictions, self.ended)


@dataclass(frozen=True)
class SettledError:
    """All settled nights as one; `bounds_days` hold the error in 95 % of draws of as many stays, and the promise is
    that of the models that scored (None where one has none)."""

    nights: int
    predictions: int
    stays: int
    mae_days: float
    bounds_days: tuple[float, float]
    baseline_mae_days: float | None
    promised_mae_days: float | None
    coverage: float | None

    @property
    def over_promised(self) -> float | None:
        """Delivered error as a share of the promised one."""
        return self.mae_days / self.promised_mae_days if self.promised_mae_days else None


@dataclass(frozen=True)
class DistributionScore:
    """Probabilities and order over all nights, open stays included: Brier scores by day and integrated over the days,
    and the concordance, of the model and of the Kaplan-Meier baseline; NaN where nobody was followed up so long."""

    at_days: tuple[float, ...]
    brier: tuple[float, ...]
    baseline_brier: tuple[float, ...]
    integrated_brier: float
    baseline_integrated_brier: float
    concordance: float
    baseline_concordance: float


def is_settled(predictions: int, ended: int) -> bool:
    """Whether all but one in twenty of the predictions of a night are of stays that have ended."""
    return predictions > 0 and predictions - ended <= SETTLED_OPEN_SHARE * predictions


def absolute_errors(predicted_days: np.ndarray, follow_up: FollowUp) -> np.ndarray:
    """|predicted - actual| [m] in days; of a stay that is still open, what the error is at least."""
    shortfall = follow_up.days - predicted_days
    return np.where(follow_up.ended, np.abs(shortfall), np.maximum(shortfall, 0.0))


def follow_up_of(judged: pd.DataFrame) -> FollowUp:
    """The follow-up of a judged frame; see `score_nights`."""
    return FollowUp(judged["known_days"].to_numpy(dtype=np.float64), judged["ended"].to_numpy(dtype=bool))


def score_nights(judged: pd.DataFrame) -> tuple[NightScore, ...]:
    """The nights, oldest first.

    `judged` has a row a prediction with the columns of the predictions' table and `known_days` (days from the night's
    cutoff to the end, or to when the stay is known to have gone on), `ended`, `promised_mae_days` (NaN: none).
    """
    scores = []
    for night, rows in judged.groupby("as_of", sort=True):
        ended = int(rows["ended"].sum())
        settled = is_settled(len(rows), ended)
        scores.append(NightScore(
            as_of=_as_date(night),
            predictions=len(rows),
            ended=ended,
            mae_days=mean_error(rows, "remaining_los_days") if settled else None,
            baseline_mae_days=mean_error(rows, "baseline_remaining_days") if settled else None,
            promised_mae_days=_mean(rows["promised_mae_days"]),
            coverage=coverage(rows) if settled else None,
        ))  # fmt: skip
    return tuple(scores)


def settled_error(judged: pd.DataFrame, nights: Sequence[NightScore]) -> SettledError | None:
    """The settled ones of the nights as one; None where there is none."""
    settled = {night.as_of for night in nights if night.settled}
    rows = judged[[_as_date(night) in settled for night in judged["as_of"]]]
    if rows.empty:
        return None
    errors = absolute_errors(rows["remaining_los_days"].to_numpy(dtype=np.float64), follow_up_of(rows))
    mean, low, high = bootstrapped_mean(errors, rows["stay_id"].to_numpy())
    return SettledError(
        nights=len(settled),
        predictions=len(rows),
        stays=rows["stay_id"].nunique(),
        mae_days=mean,
        bounds_days=(low, high),
        baseline_mae_days=mean_error(rows, "baseline_remaining_days"),
        promised_mae_days=_mean(rows["promised_mae_days"]),
        coverage=coverage(rows),
    )


def score_distributions(
    judged: pd.DataFrame, p_ended: np.ndarray, baseline_p_ended: np.ndarray, at_days: np.ndarray
) -> DistributionScore:
    """Probabilities [m, k] that stays have ended by `at_days` [k], the model's and the baseline's, of the m rows of a
    judged frame."""
    follow_up = follow_up_of(judged)
    brier, baseline = (brier_scores(one, follow_up, at_days) for one in (p_ended, baseline_p_ended))
    order, baseline_order = (
        concordance(judged[name].to_numpy(dtype=np.float64), follow_up)
        for name in ("remaining_los_days", "baseline_remaining_days")
    )
    return DistributionScore(
        at_days=tuple(at_days.tolist()),
        brier=tuple(brier.tolist()),
        baseline_brier=tuple(baseline.tolist()),
        integrated_brier=integrated_brier_score(brier, at_days),
        baseline_integrated_brier=integrated_brier_score(baseline, at_days),
        concordance=order,
        baseline_concordance=baseline_order,
    )


def mean_error(judged: pd.DataFrame, column: str) -> float | None:
    """The mean absolute error in days of a column of predicted days; None where one is missing."""
    if judged[column].isna().any():
        return None
    return float(absolute_errors(judged[column].to_numpy(dtype=np.float64), follow_up_of(judged)).mean())


def coverage(judged: pd.DataFrame) -> float | None:
    """The share of bounds that held, of those of which it is known: an open stay may have passed its upper bound."""
    follow_up = follow_up_of(judged)
    lower = judged["remaining_los_days_lower"].to_numpy(dtype=np.float64)
    upper = judged["remaining_los_days_upper"].to_numpy(dtype=np.float64)
    upper = np.where(np.isnan(upper), np.inf, upper)
    held = (lower <= follow_up.days) & (follow_up.days <= upper) & follow_up.ended
    told = follow_up.ended | (follow_up.days > upper)
    return float(held[told].mean()) if told.any() else None


def _mean(values: pd.Series) -> float | None:
    return None if values.isna().any() else float(values.mean())


def _as_date(night: object) -> date:
    return pd.Timestamp(str(night)).date()
