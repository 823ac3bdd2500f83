"""A forest of trees with several outputs as arrays: taken over from scikit-learn after a fit, predicted from without
it, never unpickled."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from medlstm.models.fitted_arrays import FittedArrays

# Steps down so many trees for so many rows are made at a time.
_STEPS_AT_ONCE = 4_000_000


class Forest(FittedArrays):
    """The mean over all trees of the outputs [O] in the leaf that a row falls into.

    The nodes of all trees lie one after the other [N]: `feature` and `threshold` of a split, and the nodes `left` (at
    or below it) and `right`; a leaf leads to itself. `root` [trees] is where each tree begins, `row` [N] the line of
    a node's outputs in `value` [leaves, O], `levels` are those of the deepest tree.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    root: Tensor
    row: Tensor
    value: Tensor
    levels: Tensor

    def __init__(self) -> None:
        super().__init__()
        numbers = ("feature", "left", "right", "root", "row", "levels")
        self.set_arrays(
            {name: torch.zeros(1, dtype=torch.int32) for name in numbers}
            | {"threshold": torch.zeros(1, dtype=torch.float64), "value": torch.zeros((1, 1), dtype=torch.float64)}
        )

    def take_over(self, model: Any, columns: np.ndarray) -> None:
        """Copy the trees of a fitted forest of scikit-learn's regressors; its feature i is column `columns[i]` of the
        rows to come."""
        trees = [estimator.tree_ for estimator in model.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        begins = np.cumsum(sizes) - sizes
        own = np.concatenate([begin + np.arange(size) for begin, size in zip(begins, sizes, strict=True)])
        is_leaf = np.concatenate([tree.children_left for tree in trees]) < 0

        def child(name: str) -> np.ndarray:
            below = np.concatenate([begin + getattr(tree, name) for begin, tree in zip(begins, trees, strict=True)])
            return np.where(is_leaf, own, below)

        feature, threshold, value = (
            np.concatenate([getattr(tree, name) for tree in trees]) for name in ("feature", "threshold", "value")
        )
        numbers = {
            "feature": columns[np.where(is_leaf, 0, feature)],
            "left": child("children_left"),
            "right": child("children_right"),
            "root": begins,
            "row": np.where(is_leaf, np.cumsum(is_leaf) - 1, 0),
            "levels": np.arange(max(tree.max_depth for tree in trees)),
        }
        self.set_arrays(
            {name: torch.from_numpy(array.astype(np.int32)) for name, array in numbers.items()}
            | {"threshold": torch.from_numpy(threshold), "value": torch.from_numpy(value[is_leaf, :, 0])}
        )

    def forward(self, features: Tensor) -> Tensor:
        """Outputs [n, O], float64, of rows [n, F] without missing values."""
        rows = max(_STEPS_AT_ONCE // len(self.root), 1)
        chunks = [self._mean(chunk) for chunk in features.double().split(rows)]
        return torch.cat(chunks) if chunks else features.new_zeros((0, self.value.shape[1]), dtype=torch.float64)

    def _mean(self, features: Tensor) -> Tensor:
        node = self.root.long().expand(len(features), -1)
        for _ in range(len(self.levels)):
            goes_left = features.gather(1, self.feature[node].long()) <= self.threshold[node]
            node = torch.where(goes_left, self.left[node], self.right[node]).long()
        # One tree after the other: the order of a sum must not depend on how many rows there are.
        total = torch.zeros((len(features), self.value.shape[1]), dtype=torch.float64, device=features.device)
        for leaf in self.row[node].long().unbind(dim=1):
            total += self.value[leaf]
        return total / len(self.root)
