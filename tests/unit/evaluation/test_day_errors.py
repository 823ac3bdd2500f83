import numpy as np

from medlstm.evaluation.day_errors import DayErrors


def test_errors_by_hand():
    found = DayErrors(
        days=np.array([1.0, 4.0]), lower=np.array([0.0, 3.0]), upper=np.array([2.0, 5.0]), actual=np.array([2.0, 8.0]),
        mean_days=np.array([2.0, 6.0]),
    )  # fmt: skip
    assert found.absolute.tolist() == [1.0, 4.0]
    assert found.held.tolist() == [True, False]
    assert (found.mae_days, found.mape, found.coverage, found.width_days) == (2.5, 0.5, 0.5, 2.0)
    assert np.isclose(found.rmse_days, np.sqrt(2.0))
    assert np.isclose(found.r2, 1 - 4 / 18)
    assert np.isclose(found.msle, (np.log(3 / 2) ** 2 + np.log(9 / 5) ** 2) / 2)


def test_without_a_mean_the_point_prediction_stands_for_it():
    days, actual = np.array([1.0, 4.0, 9.0]), np.array([2.0, 4.0, 7.0])
    alone = DayErrors(days, days, days, actual)
    assert alone.rmse_days == DayErrors(days, days, days, actual, mean_days=days).rmse_days
    assert alone.r2 == DayErrors(days, days, days, actual, mean_days=days).r2
