import numpy as np
import pytest
from sklearn import metrics as reference

from medlstm.evaluation import metrics

GENERATOR = np.random.default_rng(0)
ACTUAL = GENERATOR.lognormal(1.5, 0.8, 500)
PREDICTED = ACTUAL * GENERATOR.lognormal(0.1, 0.5, 500)
HAPPENED = GENERATOR.random(500) < 0.2
RISK = np.clip(0.2 * HAPPENED + GENERATOR.random(500) * 0.8, 0, 1)


def test_errors_equal_scikit_learn():
    assert metrics.mean_absolute_error(PREDICTED, ACTUAL) == pytest.approx(
        reference.mean_absolute_error(ACTUAL, PREDICTED)
    )
    assert metrics.root_mean_squared_error(PREDICTED, ACTUAL) == pytest.approx(
        reference.root_mean_squared_error(ACTUAL, PREDICTED)
    )
    assert metrics.mean_squared_log_error(PREDICTED, ACTUAL) == pytest.approx(
        reference.mean_squared_log_error(ACTUAL, PREDICTED)
    )
    assert metrics.mean_absolute_percentage_error(PREDICTED, ACTUAL) == pytest.approx(
        reference.mean_absolute_percentage_error(ACTUAL, PREDICTED)
    )
    assert metrics.r_squared(PREDICTED, ACTUAL) == pytest.approx(reference.r2_score(ACTUAL, PREDICTED))
    assert metrics.auroc(RISK, HAPPENED) == pytest.approx(reference.roc_auc_score(HAPPENED, RISK))
    assert metrics.auprc(RISK, HAPPENED) == pytest.approx(reference.average_precision_score(HAPPENED, RISK))


def test_kappa_by_hand():
    # Buckets 0, 0, 1 and 9; predicted 0, 1, 1 and 8: disagreement 2 of a total, against chance.
    actual, predicted = np.array([0.5, 0.9, 1.0, 20.0]), np.array([0.1, 1.5, 1.9, 13.9])
    seen = (0 + 1 + 0 + 1) / 4
    chance = np.mean([abs(a - p) for a in (0, 0, 1, 9) for p in (0, 1, 1, 8)])
    assert metrics.los_kappa(predicted, actual) == pytest.approx(1 - seen / chance)
    assert metrics.los_kappa(actual, actual) == 1


def test_coverage_width_and_score1_by_hand():
    assert metrics.interval_coverage(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([1.0, 2.0])) == 0.5
    assert metrics.interval_width(np.array([0.0, 1.0]), np.array([1.0, 4.0])) == 2.0
    risk, happened = np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False])
    assert metrics.score1(risk, happened, 0.5) == 0.5
    assert metrics.score1(risk, happened, 0.2) == pytest.approx(2 / 3)
    assert metrics.best_score1_threshold(risk, happened) == 0.3
    assert metrics.score1(risk, happened, 0.95) == 0.0


def test_bootstrap_bounds_hold_the_mean_and_respect_groups():
    errors, other = np.abs(PREDICTED - ACTUAL), np.abs(PREDICTED - ACTUAL) + 0.1
    mean, low, high = metrics.paired_bootstrap(errors, other, np.arange(500))
    assert mean == pytest.approx(-0.1)
    assert low == pytest.approx(-0.1)
    assert high == pytest.approx(-0.1)
    noise = GENERATOR.normal(0, 1, 50).repeat(10)
    alone = metrics.paired_bootstrap(noise, np.zeros(500), np.arange(500))
    grouped = metrics.paired_bootstrap(noise, np.zeros(500), np.arange(50).repeat(10))
    assert grouped[2] - grouped[1] > 2 * (alone[2] - alone[1])


def test_nothing_and_one_class_have_no_answer():
    empty = np.array([])
    for measure in (metrics.mean_absolute_error, metrics.r_squared, metrics.los_kappa, metrics.mean_squared_log_error):
        assert np.isnan(measure(empty, empty))
    assert np.isnan(metrics.auroc(RISK, np.zeros(500, dtype=bool)))
    assert np.isnan(metrics.score1(RISK, np.zeros(500, dtype=bool), 0.5))


@pytest.mark.parametrize(
    "measure",
    [
        metrics.mean_absolute_error, metrics.root_mean_squared_error, metrics.mean_squared_log_error,
        metrics.mean_absolute_percentage_error, metrics.r_squared, metrics.los_kappa, metrics.auroc, metrics.auprc,
        metrics.interval_width,
    ],
)  # fmt: skip
def test_shapes_that_would_broadcast_are_refused(measure):
    with pytest.raises(ValueError, match="same length"):
        measure(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="same length"):
        measure(np.zeros(3), np.zeros(1))
