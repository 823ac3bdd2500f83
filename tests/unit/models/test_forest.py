import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.ensemble import ExtraTreesRegressor

from medlstm.models.family.extra_trees import curves
from medlstm.models.forest import Forest


def _table(rows, seed):
    table = np.random.default_rng(seed).normal(size=(rows, 5)).round(4).astype(np.float32).astype(np.float64)
    return table, np.column_stack([table[:, 0] > 0, table[:, 1] * table[:, 2]])


def test_a_forest_predicts_what_scikit_learn_predicts_after_a_trip_through_a_file_whatever_the_company():
    model = ExtraTreesRegressor(n_estimators=7, min_samples_leaf=3, random_state=0).fit(*_table(600, 0))
    forest = Forest()
    forest.take_over(model, np.array([4, 0, 1, 2, 3]))
    loaded = Forest()
    loaded.load_state_dict(safetensors.torch.load(safetensors.torch.save(forest.state_dict())))
    fresh = _table(300, 1)[0]
    moved = torch.from_numpy(fresh[:, [1, 2, 3, 4, 0]])
    said = loaded(moved)
    np.testing.assert_allclose(said.numpy(), model.predict(fresh), rtol=0, atol=1e-12)
    assert torch.cat([loaded(moved[:1]), loaded(moved[1:])]).equal(said)
    assert loaded(moved[:0]).shape == (0, 2)


def test_what_is_not_known_of_a_censored_row_is_the_usual_curve_from_there_on():
    days, censored = np.array([1.0, 2.0, 3.0, 4.0, 2.5]), np.array([False, False, False, False, True])
    edges = np.array([0.0, 1.5, 2.5, 3.5, 4.5])
    # By hand: of the two who are followed beyond 2.5 one goes on beyond 3.5, and none to the end.
    assert curves(days, censored, edges)[4] == pytest.approx([1, 1, 1, 0.5, 0.0])
    np.testing.assert_array_equal(curves(days, censored, edges)[1], [1, 1, 0, 0, 0])


def test_the_mean_of_the_curves_is_the_product_limit_curve_where_some_are_censored():
    generator = np.random.default_rng(5)
    ends, stops = generator.exponential(4.0, 40_000), generator.exponential(6.0, 40_000)
    edges = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 9.0])
    mean = curves(np.minimum(ends, stops), stops < ends, edges).mean(axis=0)
    np.testing.assert_allclose(mean, np.exp(-edges / 4.0), atol=0.02)
