import numpy as np
import pytest

from medlstm.intervals import calibrate


def test_coverage_holds_on_the_next_stays():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.5, 20, 6000)
    actual = predicted * rng.lognormal(0.3, 0.6, 6000)
    interval = calibrate(predicted[:2000], actual[:2000], 0.9)
    inside = (actual[2000:] >= interval.lower(predicted[2000:])) & (actual[2000:] <= interval.upper(predicted[2000:]))
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


def test_bounds_hold_the_order_and_stay_above_zero():
    interval = calibrate(np.full(100, 3.0), np.linspace(0, 10, 100), 0.8)
    predicted = np.array([0.0, 1.0, 30.0])
    assert (interval.lower(predicted) >= 0).all()
    assert (interval.lower(predicted) <= interval.upper(predicted)).all()


def test_too_few_stays_give_an_interval_that_claims_nothing():
    interval = calibrate(np.ones(5), np.ones(5), 0.9)
    assert interval.lower(np.array([2.0]))[0] == 0
    assert np.isinf(interval.upper(np.array([2.0]))[0])


def test_broadcasting_shapes_are_refused():
    with pytest.raises(ValueError, match="equal, non-empty"):
        calibrate(np.ones((5, 1)), np.ones(5), 0.9)
