import numpy as np
import pytest

from medlstm.batches import Predictions
from medlstm.intervals import DistributionInterval, calibrate
from medlstm.models.distribution import RemainingStay

EDGES = np.concatenate([np.linspace(0, 30, 61), [45, 60]])


def _exponential(means, tail=10.0):
    survival = np.exp(-EDGES[None, :] / means[:, None])
    remaining = RemainingStay(EDGES, tail, survival)
    return Predictions(remaining.median(), remaining, None)


def _points(days):
    return Predictions(days, None, None)


def test_coverage_of_a_point_holds_on_the_next_stays():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.5, 20, 6000)
    actual = predicted * rng.lognormal(0.3, 0.6, 6000)
    interval = calibrate(_points(predicted[:2000]), actual[:2000], np.zeros(2000), np.arange(2000), 0.9)
    lower, upper = interval.bounds(_points(predicted[2000:]), np.zeros(4000))
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
    lower, upper = interval.bounds(_exponential(said[rest]), elapsed[rest])
    inside = (actual[rest] >= lower) & (actual[rest] <= upper)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for start, end in ((0, 2), (2, 8), (8, 20)):
        band = (elapsed[rest] >= start) & (elapsed[rest] < end)
        assert inside[band].mean() == pytest.approx(0.9, abs=0.03)


def test_bounds_hold_the_order_and_the_point_and_stay_above_zero():
    predictions = _exponential(np.array([0.2, 1.0, 30.0]))
    interval = calibrate(_exponential(np.full(300, 3.0)), np.linspace(0, 1, 300), np.zeros(300), np.arange(300), 0.8)
    lower, upper = interval.bounds(predictions, np.zeros(3))
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
        lower, upper = interval.bounds(make(np.ones(1)), np.zeros(1))
        assert lower[0] == 0
        assert np.isinf(upper[0])


@pytest.mark.parametrize("kind", ["point", "distribution"])
def test_broadcasting_shapes_are_refused(kind):
    make = _points if kind == "point" else _exponential
    for actual, stay in ((np.ones((5, 1)), np.arange(5)), (np.ones(4), np.arange(5)), (np.ones(5), np.arange(4))):
        with pytest.raises(ValueError, match="equal, non-empty"):
            calibrate(make(np.ones(5)), actual, np.ones(5), stay, 0.9)
