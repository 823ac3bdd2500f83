"""Nights judged by what is known: by hand, with a few stays."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from medlstm.evaluation.censored_scores import FollowUp
from medlstm.evaluation.judged_nights import (
    absolute_errors,
    coverage,
    is_settled,
    score_distributions,
    score_nights,
    settled_error,
)

OLD, NEW = date(2026, 3, 1), date(2026, 3, 20)


def judged(night: date, predicted: list[float], known: list[float], ended: list[bool], promised: float) -> pd.DataFrame:
    return pd.DataFrame({
        "stay_id": [f"s{index}" for index in range(len(known))], "as_of": night, "remaining_los_days": predicted,
        "remaining_los_days_lower": 0.5, "remaining_los_days_upper": [4.0, *[np.nan] * (len(known) - 1)],
        "baseline_remaining_days": 3.0, "known_days": known, "ended": ended, "promised_mae_days": promised,
    })  # fmt: skip


@pytest.fixture
def two_nights() -> pd.DataFrame:
    """Twenty stays of an old night, the last of which is still open after 30 days, and two of a young one."""
    old = judged(OLD, [2.0] * 20, [1.0] * 19 + [30.0], [True] * 19 + [False], 1.5)
    return pd.concat([old, judged(NEW, [9.0, 9.0], [1.0, 2.0], [True, False], 1.7)], ignore_index=True)


def test_an_open_stay_counts_with_what_the_error_is_at_least() -> None:
    follow_up = FollowUp(np.array([3.0, 3.0, 3.0]), np.array([True, False, False]))
    assert absolute_errors(np.array([5.0, 5.0, 1.0]), follow_up).tolist() == [2.0, 0.0, 2.0]


def test_a_night_is_settled_when_one_in_twenty_is_open() -> None:
    assert is_settled(20, 19)
    assert not is_settled(20, 18)
    assert not is_settled(19, 18)
    assert not is_settled(0, 0)


def test_only_settled_nights_have_an_error(two_nights: pd.DataFrame) -> None:
    old, new = score_nights(two_nights)
    assert (old.as_of, old.predictions, old.ended, old.settled) == (OLD, 20, 19, True)
    assert old.mae_days == pytest.approx((19 * 1 + 28) / 20)
    assert old.baseline_mae_days == pytest.approx((19 * 2 + 27) / 20)
    assert (new.as_of, new.settled, new.mae_days, new.coverage, new.promised_mae_days) == (NEW, False, None, None, 1.7)


def test_the_settled_nights_as_one_leave_younger_ones_out(two_nights: pd.DataFrame) -> None:
    error = settled_error(two_nights, score_nights(two_nights))
    assert error is not None
    assert (error.nights, error.predictions, error.stays) == (1, 20, 20)
    assert error.mae_days == pytest.approx(47 / 20)
    assert error.bounds_days[0] < error.mae_days < error.bounds_days[1]
    assert error.over_promised == pytest.approx(47 / 20 / 1.5)
    young = two_nights[two_nights["as_of"] == NEW]
    assert settled_error(young, score_nights(young)) is None


def test_bounds_of_an_open_stay_count_once_it_has_passed_them() -> None:
    rows = judged(OLD, [2.0] * 3, [5.0, 1.0, 0.1], [False, True, True], 1.0)
    assert coverage(rows) == pytest.approx(1 / 3)
    not_yet = judged(OLD, [2.0] * 2, [3.0, 1.0], [False, True], 1.0)
    assert coverage(not_yet) == 1.0


def test_a_baseline_that_is_missing_is_not_told(two_nights: pd.DataFrame) -> None:
    two_nights.loc[3, "baseline_remaining_days"] = np.nan
    assert score_nights(two_nights)[0].baseline_mae_days is None


def test_who_knows_the_ends_scores_better_than_the_baseline() -> None:
    known = np.linspace(0.5, 9.5, 10)
    rows = judged(OLD, known.tolist(), known.tolist(), [True] * 9 + [False], 1.0)
    days = np.array([1.0, 2.0, 5.0])
    knows = (known[:, None] <= days).astype(float)
    scores = score_distributions(rows, knows, np.full((10, 3), 0.5), days)
    assert scores.brier == (0.0, 0.0, 0.0)
    assert scores.baseline_brier == pytest.approx((0.25, 0.25, 0.25))
    assert (scores.integrated_brier, scores.concordance, scores.baseline_concordance) == (0.0, 1.0, 0.5)
