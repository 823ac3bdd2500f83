"""The stacked causal LSTM: an estimate of the remaining length of stay at every step."""

import torch
from torch import Tensor, nn

from medlstm.models.inputs import RawInputs


class LstmModel(nn.Module):
    """Input layer, stacked LSTM and one output per step.

    The output is on the head's own scale (log(1 + days) or days); see medlstm.models.heads.
    """

    def __init__(self, inputs: RawInputs, hidden_units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.inputs = inputs
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs.features, hidden_units, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_units, 1)

    def forward(self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor) -> Tensor:
        """Outputs [B, T]; arguments as in ClinicalInputs.forward. Padding at the end changes no earlier step."""
        features = self.inputs(values, numeric, codes, elapsed_hours)
        hidden, _ = self.lstm(features)
        result: Tensor = self.output(self.dropout(hidden)).squeeze(-1)
        return result


def last_valid(outputs: Tensor, steps: Tensor) -> Tensor:
    """The output [B] of each stay's last valid step, from outputs [B, T] and steps [B] >= 1."""
    return outputs.gather(1, (steps - 1).unsqueeze(1)).squeeze(1)


def valid_steps(steps: Tensor, length: int) -> Tensor:
    """A mask [B, length], true on the steps that a stay has."""
    return torch.arange(length, device=steps.device).unsqueeze(0) < steps.unsqueeze(1)
