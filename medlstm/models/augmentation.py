"""Training stays as another hospital would have measured them: laboratory tests end early, values are missed."""

import torch
from torch import Tensor

LAB_MAX_SHARE = 0.25


def rare_variables(values: Tensor) -> Tensor:
    """Which variables [V] of raw values [rows, V] are measured in fewer than a quarter of the rows: laboratory
    tests rather than monitors."""
    return (~torch.isnan(values)).float().mean(dim=0) < LAB_MAX_SHARE


def sampled_less_often(
    values: Tensor,
    steps: Tensor,
    rare: Tensor,
    lab_cutoff_share: float,
    observation_dropout: float,
    generator: torch.Generator,
) -> Tensor:
    """A copy of raw values [B, T, V] in which, for a share of the stays, no rare variable is measured after a
    random step, and of every other value of a stay up to a share `observation_dropout` is missed."""
    count, length, _ = values.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(values.device)

    cut = (uniform(count) * steps).floor()
    cut = torch.where(uniform(count) < lab_cutoff_share, cut, float(length))
    late = torch.arange(length, device=values.device).unsqueeze(0) > cut.unsqueeze(1)
    hidden = late.unsqueeze(-1) & rare
    if observation_dropout > 0:
        share = uniform(count, 1, 1) * observation_dropout
        hidden = hidden | (uniform(*values.shape) < share)
    return values.masked_fill(hidden, torch.nan)
