"""The stacked GRU, for comparison."""

from torch import Tensor, nn

from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork


class GruEncoder(nn.Module):
    """Stacked GRU from the first step to the last."""

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(features, hidden, layers, batch_first=True, dropout=between)

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        hidden: Tensor = self.gru(features)[0]
        return hidden


def build(spec: ModelSpec) -> StepNetwork:
    """A network with fresh weights."""
    return StepNetwork(spec, GruEncoder)
