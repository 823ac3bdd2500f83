"""A multilayer perceptron on each step alone (forward-filled values, ages, masks), for comparison."""

from itertools import pairwise

from torch import Tensor, nn

from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork


class MlpEncoder(nn.Module):
    """The same perceptron at every step."""

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [features] + [hidden] * layers
        parts = [(nn.Linear(a, b), nn.GELU(), nn.Dropout(dropout)) for a, b in pairwise(widths)]
        self.stack = nn.Sequential(*(module for part in parts for module in part))

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        hidden: Tensor = self.stack(features)
        return hidden


def build(spec: ModelSpec) -> StepNetwork:
    """A network with fresh weights."""
    return StepNetwork(spec, MlpEncoder)
