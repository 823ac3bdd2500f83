"""Convolutions over time that see the past only."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalConvolution(nn.Module):
    """A 1-D convolution over steps t - (width - 1) * dilation .. t, and a GELU."""

    def __init__(self, features: int, hidden: int, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.past = (width - 1) * dilation
        self.convolution = nn.Conv1d(features, hidden, width, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        padded = functional.pad(features.transpose(1, 2), (self.past, 0))
        hidden: Tensor = self.dropout(functional.gelu(self.convolution(padded).transpose(1, 2)))
        return hidden


def residual(block: CausalConvolution, features: Tensor) -> Tensor:
    """The block added to its input, where both are equally wide."""
    hidden: Tensor = block(features)
    return torch.add(features, hidden) if features.shape == hidden.shape else hidden
