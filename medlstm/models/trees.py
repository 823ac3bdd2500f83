"""Boosted trees as arrays: taken over from scikit-learn after a fit, predicted from without it, never unpickled.

A row's leaf is found without walking down the tree: its leaves are numbered from left to right, each split that sends
the row to the right rules out the leaves on its left, and the first leaf that is left is the row's.
Source: Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees",
SIGIR 2015.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from medlstm.models.fitted_arrays import FittedArrays

_MOST_LEAVES = 62
_MIN_KNOWN_SHARE = 0.02
# Leaves of so many trees and rows are looked up at a time.
_LEAVES_AT_ONCE = 2_000_000


class BoostedTrees(FittedArrays):
    """The raw score of a gradient boosting: a baseline, and per tree the value of the leaf that a row falls into.

    Of each tree the splits [trees, splits] (`right_leaves` has the bit of each leaf that a row which goes right may
    still reach) and the leaves' values [trees, leaves].
    """

    feature: Tensor
    threshold: Tensor
    missing_left: Tensor
    right_leaves: Tensor
    value: Tensor
    baseline: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.set_arrays(_arrays([], 0.0))

    def take_over(self, model: Any, columns: np.ndarray, resolution: float) -> None:
        """Copy the trees of a fitted HistGradientBoosting of one output with numeric features only; its feature i is
        column `columns[i]` of the rows to come. Features are multiples of `resolution`.

        A split often lies on a value that rows have, where the last digit of a sum would decide. Splits are moved by a
        quarter of the resolution, so that they are between two values, and the rows' sides stay as they are.
        Raises ValueError for trees of over 62 leaves, or with categorical splits.
        """
        trees = [_Tree(iteration[0].nodes, columns, resolution) for iteration in model._predictors]
        self.set_arrays(_arrays(trees, float(np.ravel(model._baseline_prediction)[0])))

    def forward(self, features: Tensor) -> Tensor:
        """Raw scores [n], float64, of rows [n, F] (NaN missing)."""
        return self.at_each(features, features.new_zeros(1)).squeeze(1)

    def at_each(self, features: Tensor, points: Tensor) -> Tensor:
        """Raw scores [n, P], float64, of rows [n, F + 1] whose last column takes each of the points [P] in turn."""
        trees = max(len(self.feature), 1)
        rows = max(_LEAVES_AT_ONCE // (trees * len(points)), 1)
        of_points = self._reachable(points.double().unsqueeze(0), features.shape[1])
        chunks = [self._scores(chunk, of_points) for chunk in features.double().split(rows)]
        return torch.cat(chunks) if chunks else features.new_zeros((0, len(points)), dtype=torch.float64)

    def _scores(self, features: Tensor, of_points: Tensor) -> Tensor:
        reachable = self._reachable(features.T.contiguous(), 0).unsqueeze(2) & of_points.unsqueeze(1)
        first = reachable & -reachable
        leaf = torch.log2(first.double()).long()
        values = self.value.gather(1, leaf.flatten(1)).view(leaf.shape)
        return self.baseline + values.sum(dim=0)

    def _reachable(self, columns: Tensor, first_column: int) -> Tensor:
        """The leaves [trees, n] that splits on the features `first_column` and on, of values [F, n], leave over."""
        reachable = torch.full((len(self.feature), columns.shape[1]), -1, dtype=torch.int64, device=columns.device)
        for split in range(self.feature.shape[1]):
            place = self.feature[:, split] - first_column
            known = (place >= 0) & (place < len(columns))
            value = columns[place.clamp(0, len(columns) - 1)]
            threshold, missing_left = self.threshold[:, split, None], self.missing_left[:, split, None]
            goes_left = torch.where(torch.isnan(value), missing_left, value <= threshold) | ~known[:, None]
            reachable &= torch.where(goes_left, -1, self.right_leaves[:, split, None])
        return reachable


class _Tree:
    """The splits and leaves of one tree of scikit-learn's."""

    def __init__(self, nodes: np.ndarray, columns: np.ndarray, resolution: float) -> None:
        self.nodes = nodes
        self.values: list[float] = []
        self.splits: list[tuple[int, float, bool, int]] = []
        self._columns = columns
        self._resolution = resolution
        self._leaves_below(0)
        if len(self.values) > _MOST_LEAVES:
            raise ValueError(f"a tree has {len(self.values)} leaves, {_MOST_LEAVES} at most can be taken over")

    def _leaves_below(self, place: int) -> int:
        """Number the leaves below a node from left to right and note its splits; the bits of those leaves."""
        node = self.nodes[place]
        if node["is_leaf"]:
            self.values.append(float(node["value"]))
            return 1 << (len(self.values) - 1)
        if node["is_categorical"]:
            raise ValueError("trees with categorical splits cannot be taken over; encode categories as numbers")
        left = self._leaves_below(int(node["left"]))
        right = self._leaves_below(int(node["right"]))
        feature = int(self._columns[node["feature_idx"]])
        threshold = float(node["num_threshold"]) + self._resolution / 4
        self.splits.append((feature, threshold, bool(node["missing_go_to_left"]), ~left))
        return left | right


def _arrays(trees: list[_Tree], baseline: float) -> dict[str, Tensor]:
    """Padded with splits that send every row to the left."""
    shape = len(trees), max((len(tree.splits) for tree in trees), default=1)
    feature, right_leaves = np.zeros(shape, dtype=np.int64), np.full(shape, -1, dtype=np.int64)
    threshold, missing_left = np.full(shape, np.inf), np.ones(shape, dtype=bool)
    value = np.zeros((len(trees), max((len(tree.values) for tree in trees), default=1)))
    for index, tree in enumerate(trees):
        value[index, : len(tree.values)] = tree.values
        for place, split in enumerate(tree.splits):
            feature[index, place], threshold[index, place] = split[:2]
            missing_left[index, place], right_leaves[index, place] = split[2:]
    arrays = {"feature": feature, "threshold": threshold, "missing_left": missing_left, "right_leaves": right_leaves,
              "value": value, "baseline": np.array([baseline])}  # fmt: skip
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def told_apart(features: np.ndarray) -> np.ndarray:
    """The columns that are known in enough of the rows [n, F] and are not the same in all."""
    known = ~np.isnan(features)
    lowest = np.where(known, features, np.inf).min(axis=0)
    highest = np.where(known, features, -np.inf).max(axis=0)
    return np.flatnonzero((known.mean(axis=0) >= _MIN_KNOWN_SHARE) & (lowest < highest))
