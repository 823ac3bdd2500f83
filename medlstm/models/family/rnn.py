"""The stacked RNN, for comparison."""

from torch import Tensor, nn

from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork


class RnnEncoder(nn.Module):
    """Stacked RNN from the first step to the last."""

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.rnn = nn.RNN(features, hidden, layers, batch_first=True, dropout=between)

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        hidden: Tensor = self.rnn(features)[0]
        return hidden


def build(spec: ModelSpec) -> StepNetwork:
    """A network with fresh weights."""
    return StepNetwork(spec, RnnEncoder)
