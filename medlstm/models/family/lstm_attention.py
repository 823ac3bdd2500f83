"""Causal attention over the LSTM's outputs: each step may look back at any earlier one.

Source: Vaswani et al., "Attention is all you need", 2017 (scaled dot products).
"""

from torch import Tensor, nn
from torch.nn import functional

from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork


class LstmAttentionEncoder(nn.Module):
    """The stacked LSTM, to each of whose outputs is added what attention finds in the earlier ones."""

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True, dropout=between)
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        hidden, _ = self.lstm(features)
        found = functional.scaled_dot_product_attention(
            self.query(hidden), self.key(hidden), self.value(hidden), is_causal=True
        )
        joined: Tensor = self.norm(hidden + found)
        return joined


def build(spec: ModelSpec) -> StepNetwork:
    """A network with fresh weights."""
    return StepNetwork(spec, LstmAttentionEncoder)
