"""A temporal convolutional network: causal convolutions of doubling dilation, for comparison.

Source: Bai, Kolter and Koltun, "An empirical evaluation of generic convolutional and recurrent networks for
sequence modeling", 2018.
"""

from torch import Tensor, nn

from medlstm.models.convolution import CausalConvolution, residual
from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork

_WIDTH = 3
_BLOCKS_PER_LAYER = 2


class CnnEncoder(nn.Module):
    """Convolutions of width 3, dilated by 1, 2, 4, 8 …"""

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CausalConvolution(features if block == 0 else hidden, hidden, _WIDTH, 2**block, dropout)
            for block in range(_BLOCKS_PER_LAYER * layers)
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, F] to [B, T, H]."""
        for block in self.blocks:
            assert isinstance(block, CausalConvolution)
            features = residual(block, features)
        return features


def build(spec: ModelSpec) -> StepNetwork:
    """A network with fresh weights."""
    return StepNetwork(spec, CnnEncoder)
