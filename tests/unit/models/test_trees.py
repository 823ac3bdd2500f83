import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from medlstm.models.trees import BoostedTrees


def _table(rows):
    generator = np.random.default_rng(rows)
    table = generator.normal(size=(rows, 6)).round(4)
    table[generator.random(table.shape) < 0.3] = np.nan
    target = np.nan_to_num(table[:, 0]) + np.isnan(table[:, 1]) + np.nan_to_num(table[:, 2]) ** 2
    return table, target


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "log_loss"])
def test_trees_predict_what_scikit_learn_predicts_after_a_trip_through_a_file(loss):
    table, target = _table(800)
    if loss == "log_loss":
        model = HistGradientBoostingClassifier(max_iter=30).fit(table, target > 1)
    else:
        model = HistGradientBoostingRegressor(loss=loss, max_iter=30).fit(table, target)
    trees = BoostedTrees()
    trees.take_over(model, np.arange(6), 1e-4)
    loaded = BoostedTrees()
    loaded.load_state_dict(safetensors.torch.load(safetensors.torch.save(trees.state_dict())))
    fresh = _table(500)[0]
    wanted = model.decision_function(fresh) if loss == "log_loss" else model.predict(fresh)
    np.testing.assert_allclose(loaded(torch.from_numpy(fresh)).numpy(), wanted, rtol=0, atol=1e-12)


def test_values_at_a_threshold_and_missing_ones_go_the_same_way():
    table = np.repeat([[0.0], [1.0], [2.0], [np.nan]], 30, axis=0)
    target = np.repeat([0.0, 1.0, 5.0, 9.0], 30)
    model = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5).fit(table, target)
    trees = BoostedTrees()
    trees.take_over(model, np.arange(1), 1.0)
    probe = np.array([[-1.0], [0.0], [0.5], [1.0], [1.5], [2.0], [3.0], [np.nan]])
    np.testing.assert_allclose(trees(torch.from_numpy(probe)).numpy(), model.predict(probe), rtol=0, atol=1e-12)


def test_rows_at_a_split_go_where_they_went_in_the_fit_whatever_their_last_digit():
    """Thousands of equal values: quantiles of them, and so the splits, are values that rows have."""
    generator = np.random.default_rng(0)
    table = generator.normal(size=(5000, 2)).round(2).repeat(4, axis=0)
    table[generator.random(table.shape) < 0.2] = np.nan
    target = np.nan_to_num(table[:, 0]) ** 2 + np.isnan(table[:, 1])
    model = HistGradientBoostingRegressor(max_iter=20).fit(table, target)
    splits = np.concatenate([one[0].nodes["num_threshold"] for one in model._predictors])
    assert np.isin(splits.round(9), table.round(9)).mean() > 0.1
    trees = BoostedTrees()
    trees.take_over(model, np.arange(2), 0.01)
    wanted = model.predict(table)
    for noise in (0.0, 1e-9, -1e-9, 1e-3, -1e-3):
        np.testing.assert_allclose(trees(torch.from_numpy(table + noise)).numpy(), wanted, rtol=0, atol=1e-12)


def test_trees_with_categorical_splits_are_refused():
    table = np.random.default_rng(0).integers(0, 4, (200, 1)).astype(float)
    model = HistGradientBoostingRegressor(max_iter=3, categorical_features=[0]).fit(table, np.isin(table[:, 0], [1, 3]))
    with pytest.raises(ValueError, match="categorical"):
        BoostedTrees().take_over(model, np.arange(1), 1.0)


def test_columns_left_out_of_the_fit_are_passed_over():
    table, target = _table(400)
    columns = np.array([0, 2, 5])
    model = HistGradientBoostingRegressor(max_iter=5).fit(table[:, columns], target)
    trees = BoostedTrees()
    trees.take_over(model, columns, 1e-4)
    np.testing.assert_allclose(trees(torch.from_numpy(table)).numpy(), model.predict(table[:, columns]), atol=1e-12)


def test_a_last_column_that_takes_several_values_in_turn_scores_as_rows_of_their_own():
    table, target = _table(800)
    columns = np.array([1, 3, 5])
    model = HistGradientBoostingRegressor(max_iter=30).fit(table[:, columns], target)
    trees = BoostedTrees()
    trees.take_over(model, columns, 1e-4)
    points = np.array([-1.0, 0.0, np.nan, 2.0])
    found = trees.at_each(torch.from_numpy(table[:, :5]), torch.from_numpy(points))
    for place, point in enumerate(points):
        rows = table.copy()
        rows[:, 5] = point
        np.testing.assert_allclose(found[:, place], model.predict(rows[:, columns]), rtol=0, atol=1e-12)


def test_a_tree_of_too_many_leaves_is_refused():
    table = np.arange(1000.0).reshape(-1, 1)
    model = HistGradientBoostingRegressor(max_iter=1, max_leaf_nodes=64, min_samples_leaf=1).fit(table, table[:, 0])
    with pytest.raises(ValueError, match="64 leaves, 62 at most"):
        BoostedTrees().take_over(model, np.arange(1), 1.0)


def test_no_rows_and_no_trees_are_fine():
    trees = BoostedTrees()
    assert trees(torch.zeros((3, 2))).tolist() == [0.0, 0.0, 0.0]
    assert trees(torch.zeros((0, 2))).shape == (0,)
