import numpy as np
import pandas as pd
import pytest

from medlstm.evaluation.conformal_intervals import (
    DistributionInterval,
    GroupWidening,
    calibrate,
    group_widenings,
    interval_scores,
    product_limit_weights,
)
from medlstm.models.distribution import RemainingStay
from medlstm.models.predict import Predictions

EDGES = np.concatenate([np.linspace(0, 30, 61), [45, 60]])


def _exponential(means, tail=10.0):
    survival = np.exp(-EDGES[None, :] / means[:, None])
    remaining = RemainingStay(EDGES, tail, survival)
    return Predictions(remaining.median(), remaining, None)


def _points(days):
    return Predictions(days, None, None)


def _no_groups(count):
    return pd.DataFrame(index=range(count))


def test_coverage_of_a_point_holds_on_the_next_stays():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.5, 20, 6000)
    actual = predicted * rng.lognormal(0.3, 0.6, 6000)
    interval = calibrate(_points(predicted[:2000]), actual[:2000], np.zeros(2000), np.arange(2000), 0.9)
    lower, upper = interval.bounds(_points(predicted[2000:]), np.zeros(4000), _no_groups(4000))
    assert ((actual[2000:] >= lower) & (actual[2000:] <= upper)).mean() == pytest.approx(0.9, abs=0.02)


def test_coverage_of_a_wrong_distribution_holds_overall_and_by_time_in_hospital():
    """The model says a third too little, and for long stayers far too much."""
    rng = np.random.default_rng(0)
    elapsed = rng.uniform(0, 20, 12000)
    truth = rng.uniform(1, 6, 12000)
    said = np.where(elapsed > 8, 2.5, 0.75) * truth
    actual = rng.exponential(truth)
    first, rest = slice(0, 4000), slice(4000, None)
    interval = calibrate(_exponential(said[first]), actual[first], elapsed[first], np.arange(4000), 0.9)
    lower, upper = interval.bounds(_exponential(said[rest]), elapsed[rest], _no_groups(8000))
    inside = (actual[rest] >= lower) & (actual[rest] <= upper)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for start, end in ((0, 2), (2, 8), (8, 20)):
        band = (elapsed[rest] >= start) & (elapsed[rest] < end)
        assert inside[band].mean() == pytest.approx(0.9, abs=0.03)


def test_a_censored_point_counts_for_those_above_it():
    weights = product_limit_weights(np.array([3.0, 1.0, 2.0, 4.0]), np.array([False, False, True, False]))
    assert weights == pytest.approx([1.5, 1.0, 0.0, 1.5])
    missing = product_limit_weights(np.array([3.0, 1.0, 2.0, 4.0]), np.array([False, False, False, True]))
    assert missing == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert (product_limit_weights(np.array([2.0, 2.0, 5.0]), np.zeros(3, dtype=bool)) == 1).all()


@pytest.mark.parametrize("make", [_exponential, _points])
def test_coverage_holds_of_all_stays_when_only_the_short_ones_have_ended(make):
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, 20000)
    actual, followup = rng.exponential(truth), rng.uniform(0, 20, 20000)
    known, seen = actual <= followup, np.minimum(actual, followup)
    asked, groups = (np.zeros(20000), np.arange(20000)), _no_groups(20000)

    def coverage(interval):
        lower, upper = interval.bounds(make(truth), asked[0], groups)
        return ((lower <= actual) & (actual <= upper)).mean()

    assert coverage(calibrate(make(truth), seen, *asked, 0.9, censored=~known)) == pytest.approx(0.9, abs=0.015)
    ended = calibrate(make(truth[known]), seen[known], asked[0][known], asked[1][known], 0.9)
    assert coverage(ended) < 0.88


def test_an_upper_bound_that_no_follow_up_reached_is_not_made_up():
    rng = np.random.default_rng(0)
    actual, followup = rng.exponential(3.0, 3000), rng.uniform(0, 4, 3000)
    known, seen = actual <= followup, np.minimum(actual, followup)
    interval = calibrate(_exponential(np.full(3000, 3.0)), seen, np.zeros(3000), np.arange(3000), 0.9, censored=~known)
    lower, upper = interval.bounds(_exponential(np.full(1, 3.0)), np.zeros(1), _no_groups(1))
    assert np.isinf(upper).all()
    assert lower == pytest.approx(-3 * np.log(0.95), rel=0.3)


def test_bounds_hold_the_order_and_the_point_and_stay_above_zero():
    predictions = _exponential(np.array([0.2, 1.0, 30.0]))
    interval = calibrate(_exponential(np.full(300, 3.0)), np.linspace(0, 1, 300), np.zeros(300), np.arange(300), 0.8)
    lower, upper = interval.bounds(predictions, np.zeros(3), _no_groups(3))
    assert (lower >= 0).all()
    assert (lower <= predictions.days).all()
    assert (predictions.days <= upper).all()


@pytest.mark.parametrize("kind", ["point", "distribution"])
def test_too_few_stays_give_an_interval_that_claims_nothing(kind):
    """Five stays, whether each is known at one moment or at a hundred."""
    make = _points if kind == "point" else _exponential
    for repeats in (1, 100):
        stay = np.repeat(np.arange(5), repeats)
        interval = calibrate(make(np.ones(len(stay))), np.ones(len(stay)), np.zeros(len(stay)), stay, 0.9)
        assert isinstance(interval, DistributionInterval) == (kind == "distribution")
        lower, upper = interval.bounds(make(np.ones(1)), np.zeros(1), _no_groups(1))
        assert lower[0] == 0
        assert np.isinf(upper[0])


@pytest.mark.parametrize("kind", ["point", "distribution"])
def test_broadcasting_shapes_are_refused(kind):
    make = _points if kind == "point" else _exponential
    for actual, stay in ((np.ones((5, 1)), np.arange(5)), (np.ones(4), np.arange(5)), (np.ones(5), np.arange(4))):
        with pytest.raises(ValueError, match="equal, non-empty"):
            calibrate(make(np.ones(5)), actual, np.ones(5), stay, 0.9)


@pytest.mark.parametrize("kind", ["point", "distribution"])
def test_a_group_whose_stays_scatter_more_gets_wider_bounds_and_its_coverage(kind):
    """One stay in six is of a small ward whose lengths scatter three times as much; without the groups, its coverage
    falls far below."""
    make = _points if kind == "point" else _exponential
    rng = np.random.default_rng(0)
    count = 18000
    ward = np.where(rng.random(count) < 1 / 6, "small", "large")
    truth = rng.uniform(1, 6, count)
    actual = np.minimum(truth * rng.lognormal(0, np.where(ward == "small", 0.9, 0.3), count), 80)
    groups = pd.DataFrame({"ward": ward})
    fold, calibration, rest = slice(0, 9000), slice(9000, 9600), slice(9600, None)
    scores = interval_scores(make(truth[fold]), actual[fold])
    widenings = group_widenings(scores, groups[fold], np.arange(9000), 0.9)
    assert [one.group for one in widenings] == ["small"]

    def coverage(widened):
        given = make(truth[calibration]), actual[calibration], np.zeros(600), np.arange(600), 0.9
        interval = calibrate(*given, widened)
        lower, upper = interval.bounds(make(truth[rest]), np.zeros(count - 9600), groups[rest])
        inside = (lower <= actual[rest]) & (actual[rest] <= upper)
        assert (upper >= lower).all()
        return {name: inside[ward[rest] == name].mean() for name in ("small", "large")}

    assert coverage(())["small"] < 0.75
    widened = coverage(widenings)
    assert widened["small"] == pytest.approx(0.9, abs=0.03)
    assert widened["large"] == coverage(())["large"]


@pytest.mark.parametrize("kind", ["point", "distribution"])
def test_what_groups_are_widened_by_is_not_added_to_the_coverage_of_all(kind):
    make = _points if kind == "point" else _exponential
    rng = np.random.default_rng(1)
    count = 24000
    groups = pd.DataFrame({f"attribute {one}": rng.choice(["a", "b", "c"], count) for one in range(4)})
    truth = rng.uniform(1, 6, count)
    actual = np.minimum(truth * rng.lognormal(0, 0.4, count), 80)
    # Every group is wide for no reason: a stay gets the widest of four.
    widenings = tuple(
        GroupWidening(name, group, -0.2 - 0.1 * place, 0.3 + 0.1 * place)
        for name in groups for place, group in enumerate("abc")
    )  # fmt: skip
    given, rest = slice(0, 12000), slice(12000, None)
    calibrated = (make(truth[given]), actual[given], np.zeros(12000), np.arange(12000), 0.9, widenings)

    def coverage(interval):
        lower, upper = interval.bounds(make(truth[rest]), np.zeros(12000), groups[rest])
        return ((lower <= actual[rest]) & (actual[rest] <= upper)).mean()

    assert coverage(calibrate(*calibrated, groups[given])) == pytest.approx(0.9, abs=0.01)
    assert coverage(calibrate(*calibrated)) > 0.93


def test_a_stay_that_ends_at_once_is_within_bounds_that_reach_down_to_nothing():
    actual = np.where(np.arange(200) < 40, 0.0, 3.0)
    interval = calibrate(_exponential(np.full(200, 3.0)), actual, np.zeros(200), np.arange(200), 0.9)
    assert interval.lower_levels == (0.0,) * len(interval.lower_levels)
    lower, _ = interval.bounds(_exponential(np.array([3.0])), np.zeros(1), pd.DataFrame(index=range(1)))
    assert lower[0] == 0.0


def test_a_stay_of_several_groups_gets_the_widest_bounds_of_theirs_and_a_group_that_is_unknown_none():
    widenings = [("ward", "a", -1.0, 0.0), ("sex", "f", -0.5, 2.0), ("gone", "x", -9.0, 9.0)]
    interval = DistributionInterval(0.9, (), (0.05,), (0.95,), tuple(GroupWidening(*one) for one in widenings))
    groups = pd.DataFrame({"ward": ["a", "a", "b", None], "sex": ["f", "m", "f", None]})
    lower, upper = interval.bounds(_exponential(np.full(4, 3.0)), np.zeros(4), groups)
    assert lower[0] == lower[1] < lower[2] < lower[3]
    assert upper[0] == upper[2] > upper[1] == upper[3]


def test_few_stays_widen_their_group_little_and_a_tiny_group_is_left_out():
    scores = np.concatenate([np.linspace(-1, 1, 2001), np.linspace(-1, 1, 40), np.linspace(-1, 1, 29)])
    groups = pd.DataFrame({"ward": ["large"] * 2001 + ["small"] * 40 + ["tiny"] * 29})
    found = {one.group: one for one in group_widenings(scores, groups, np.arange(2070), 0.9)}
    assert set(found) == {"large", "small"}
    # The 39th of 40 ends at 0.949 for the 0.9 of all: 0.049, of which forty stays are believed two in seven.
    assert found["small"].upper == pytest.approx(-found["small"].lower) == pytest.approx(0.014, abs=0.002)
    assert found["large"].upper < 0.005
    # Forty stays known at fifty moments each tell no more than at one.
    again = np.repeat(np.arange(2070), 50)
    often = {one.group: one for one in group_widenings(scores[again], groups.loc[again], again, 0.9)}
    assert often["small"].upper == pytest.approx(found["small"].upper, abs=0.01)
    # What lies beyond 99 % forty stays cannot tell at all.
    assert "small" not in {one.group for one in group_widenings(scores, groups, np.arange(2070), 0.99)}
