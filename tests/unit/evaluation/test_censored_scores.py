"""Scores with censored stays, against scikit-survival on the same input and against what nobody censored would give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sksurv.metrics import brier_score, concordance_index_censored
from sksurv.metrics import integrated_brier_score as their_integrated_brier_score
from sksurv.util import Surv

from medlstm.evaluation.censored_scores import FollowUp, brier_scores, concordance, integrated_brier_score

AT_DAYS = np.array([1.0, 2.0, 3.0, 5.0])


def stays(seed: int, n: int, whole_days: bool) -> tuple[FollowUp, np.ndarray]:
    """Follow-ups with ties where days are whole, and a prediction [n] that knows something of them."""
    generator = np.random.default_rng(seed)
    lasts, seen = generator.exponential(4, n), generator.uniform(0, 12, n)
    if whole_days:
        lasts, seen = np.ceil(lasts), np.ceil(seen)
    days, ended = np.minimum(lasts, seen), lasts <= seen
    # The other asks for somebody who is seen for longer than all times asked about, and somebody who is not.
    days[0], ended[0], days[1], ended[1] = 13.0, False, 1.0, True
    return FollowUp(days, ended), np.round(lasts * generator.lognormal(0, 0.5, n), 1)


@given(st.integers(0, 10_000), st.integers(5, 80), st.booleans())
def test_the_scores_are_those_of_scikit_survival(seed: int, n: int, whole_days: bool) -> None:
    follow_up, predicted = stays(seed, n, whole_days)
    survival = np.exp(-AT_DAYS / (predicted[:, None] + 0.5))
    theirs = Surv.from_arrays(follow_up.ended, follow_up.days)
    scores = brier_scores(1 - survival, follow_up, AT_DAYS)
    np.testing.assert_allclose(scores, brier_score(theirs, theirs, survival, AT_DAYS)[1], rtol=1e-12)
    integrated = their_integrated_brier_score(theirs, theirs, survival, AT_DAYS)
    assert integrated_brier_score(scores, AT_DAYS) == pytest.approx(integrated, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(5, 80), st.booleans())
def test_the_concordance_is_that_of_scikit_survival(seed: int, n: int, whole_days: bool) -> None:
    follow_up, predicted = stays(seed, n, whole_days)
    expected = concordance_index_censored(follow_up.ended, follow_up.days, -predicted, tied_tol=0)[0]
    assert concordance(predicted, follow_up) == pytest.approx(expected, rel=1e-12)


def test_censored_stays_change_the_score_by_chance_alone() -> None:
    generator = np.random.default_rng(3)
    lasts, seen = generator.exponential(4, 40_000), generator.uniform(0, 8, 40_000)
    p_ended = 1 - np.exp(-AT_DAYS[:3] / np.clip(lasts, 1, 6)[:, None])
    whole = brier_scores(p_ended, FollowUp(lasts, np.ones(len(lasts), dtype=bool)), AT_DAYS[:3])
    censored = brier_scores(p_ended, FollowUp(np.minimum(lasts, seen), lasts <= seen), AT_DAYS[:3])
    np.testing.assert_allclose(censored, whole, rtol=0.03)
    of_ended = p_ended[lasts <= seen]
    left_out = brier_scores(of_ended, FollowUp(lasts[lasts <= seen], np.ones(len(of_ended), dtype=bool)), AT_DAYS[:3])
    assert (np.abs(left_out / whole - 1) > 0.3)[[0, 2]].all(), "leaving the censored out would be as good"


def test_nothing_is_said_where_nobody_was_followed_up() -> None:
    follow_up = FollowUp(np.array([0.5, 1.5]), np.array([True, False]))
    scores = brier_scores(np.full((2, 2), 0.5), follow_up, np.array([1.0, 2.0]))
    assert np.isfinite(scores[0])
    assert np.isnan(scores[1])
    assert np.isnan(integrated_brier_score(scores, np.array([1.0, 2.0])))
    assert np.isnan(concordance(np.array([1.0]), FollowUp(np.array([1.0]), np.array([True]))))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        FollowUp(np.ones(2), np.ones(3, dtype=bool))
    follow_up = FollowUp(np.ones(2), np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="do not fit"):
        brier_scores(np.ones((2, 1)), follow_up, AT_DAYS)
    with pytest.raises(ValueError, match="do not fit"):
        concordance(np.ones(3), follow_up)
