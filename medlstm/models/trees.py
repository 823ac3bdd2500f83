"""Boosted trees as arrays: taken over from scikit-learn after a fit, predicted from without it, never unpickled."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_ARRAYS = ("feature", "threshold", "left", "right", "value", "missing_left", "baseline")
_ROWS_PER_CHUNK = 20_000


class BoostedTrees(nn.Module):
    """The raw score of a gradient boosting: a baseline, and per tree the value of the leaf that a row falls into.

    Arrays [trees, nodes], padded with leaves; a leaf points at itself. `depths`: the steps to each tree's lowest leaf.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    missing_left: Tensor
    baseline: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in _ARRAYS:
            dtype = {"threshold": torch.float64, "value": torch.float64, "missing_left": torch.bool}
            self.register_buffer(name, torch.zeros((0, 1), dtype=dtype.get(name, torch.int64)))
        self.baseline = torch.zeros(1, dtype=torch.float64)
        self.depths: tuple[int, ...] = ()

    def take_over(self, model: Any, columns: np.ndarray, resolution: float) -> None:
        """Copy the trees of a fitted HistGradientBoosting of one output with numeric features only; its feature i is
        column `columns[i]` of the rows to come. Features are multiples of `resolution`.

        A split often lies on a value that rows have, where the last digit of a sum would decide. Splits are moved by a
        quarter of the resolution, so that they are between two values, and the rows' sides stay as they are.
        """
        trees = [iteration[0].nodes for iteration in model._predictors]
        nodes = max((len(tree) for tree in trees), default=1)
        shape = (len(trees), nodes)
        own = np.broadcast_to(np.arange(nodes), shape)
        arrays = {
            "feature": np.zeros(shape, dtype=np.int64),
            "threshold": np.full(shape, np.inf),
            "left": own.copy(),
            "right": own.copy(),
            "value": np.zeros(shape),
            "missing_left": np.ones(shape, dtype=bool),
        }
        for index, tree in enumerate(trees):
            inner = ~tree["is_leaf"].astype(bool)
            if tree["is_categorical"][inner].any():
                raise ValueError("trees with categorical splits cannot be taken over; encode categories as numbers")
            count = len(tree)
            arrays["value"][index, :count] = tree["value"]
            at = np.flatnonzero(inner)
            arrays["feature"][index, at] = columns[tree["feature_idx"][inner]]
            arrays["threshold"][index, at] = tree["num_threshold"][inner] + resolution / 4
            arrays["left"][index, at] = tree["left"][inner]
            arrays["right"][index, at] = tree["right"][inner]
            arrays["missing_left"][index, at] = tree["missing_go_to_left"][inner].astype(bool)
        device = self.baseline.device
        for name, array in arrays.items():
            setattr(self, name, torch.from_numpy(array).to(device))
        self.baseline = torch.tensor(np.ravel(model._baseline_prediction)[:1], dtype=torch.float64, device=device)
        self.depths = _depths(arrays["left"], arrays["right"])

    def forward(self, features: Tensor) -> Tensor:
        """Raw scores [n], float64, of rows [n, F] (NaN missing)."""
        chunks = [self._scores(chunk) for chunk in features.double().split(_ROWS_PER_CHUNK)]
        return torch.cat(chunks) if chunks else features.new_zeros(0, dtype=torch.float64)

    def _scores(self, features: Tensor) -> Tensor:
        total = self.baseline.expand(len(features)).clone()
        for tree, depth in enumerate(self.depths):
            node = torch.zeros(len(features), dtype=torch.int64, device=features.device)
            for _ in range(depth):
                value = features.gather(1, self.feature[tree][node].unsqueeze(1)).squeeze(1)
                goes_left = torch.where(
                    torch.isnan(value), self.missing_left[tree][node], value <= self.threshold[tree][node]
                )
                node = torch.where(goes_left, self.left[tree][node], self.right[tree][node])
            total += self.value[tree][node]
        return total

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """The number of trees and nodes is that of the file."""
        for name in _ARRAYS:
            if prefix + name in state_dict:
                own = getattr(self, name)
                setattr(self, name, torch.empty(state_dict[prefix + name].shape, dtype=own.dtype, device=own.device))
        if prefix + "left" in state_dict:
            self.depths = _depths(state_dict[prefix + "left"].numpy(), state_dict[prefix + "right"].numpy())
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _depths(left: np.ndarray, right: np.ndarray) -> tuple[int, ...]:
    """How many steps from the root every path of each tree has ended after, for arrays [trees, nodes]."""
    depths = np.zeros(len(left), dtype=np.int64)
    itself = np.arange(left.shape[1])
    reached = np.broadcast_to(itself == 0, left.shape)
    while (inner := reached & (left != itself)).any():
        depths += inner.any(axis=1)
        tree, node = np.nonzero(inner)
        reached = np.zeros(left.shape, dtype=bool)
        reached[tree, left[tree, node]] = reached[tree, right[tree, node]] = True
    return tuple(depths.tolist())
