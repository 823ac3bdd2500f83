"""Causal convolutions in front of the LSTM, which see short patterns of the last hours."""

from torch import Tensor, nn

from medlstm.models.convolution import CausalConvolution
from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork

_WIDTH = 4


class CnnLstmEncoder(nn.Module):
    """One causal convolution, then the stacked LSTM."""

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.convolution = CausalConvolution(features, hidden, _WIDTH, 1, dropout)
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True, dropout=between)

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        hidden: Tensor = self.lstm(self.convolution(features))[0]
        return hidden


def build(spec: ModelSpec) -> StepNetwork:
    """A network with fresh weights."""
    return StepNetwork(spec, CnnLstmEncoder)
