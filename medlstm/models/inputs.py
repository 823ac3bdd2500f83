"""The input layer: forward-fill, masks, time gaps, clipping and scaling, on the device, as part of the model."""

import torch
from torch import Tensor, nn

_GAP_CAP_HOURS = 168.0


class ClinicalInputs(nn.Module):
    """Raw sequences to features, causally: step t sees steps 0..t only.

    Buffers come from training stays only: mean, scale, lower, upper [V]; static mean, scale, median [S].
    """

    mean: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor
    static_mean: Tensor
    static_scale: Tensor
    static_median: Tensor

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__()
        self.bin_hours = bin_hours
        self.category_sizes = category_sizes
        self.features = 3 * variables + numeric + sum(category_sizes) + 1
        for name, fill in (("mean", 0.0), ("scale", 1.0), ("lower", -torch.inf), ("upper", torch.inf)):
            self.register_buffer(name, torch.full((variables,), fill))
        for name, fill in (("static_mean", 0.0), ("static_scale", 1.0), ("static_median", 0.0)):
            self.register_buffer(name, torch.full((numeric,), fill))

    def forward(self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor) -> Tensor:
        """Features [B, T, F] from values [B, T, V] (NaN unobserved), numeric [B, S] (NaN unknown), codes [B, C]
        (-1 unknown) and elapsed_hours [B, T]."""
        filled, observed, gap = self._forward_fill(values)
        statics = torch.cat([self._scaled_statics(numeric), self._one_hot(codes)], dim=-1)
        repeated = statics.unsqueeze(1).expand(-1, values.shape[1], -1)
        elapsed = torch.log1p(elapsed_hours / 24).unsqueeze(-1)
        return torch.cat([filled, observed, gap, repeated, elapsed], dim=-1)

    def _forward_fill(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The last value seen (scaled; 0, the mean, before the first), whether it is new, and its age in [0, 1]."""
        seen = ~torch.isnan(values)
        position = torch.arange(values.shape[1], device=values.device).view(1, -1, 1)
        last = torch.where(seen, position, -1).cummax(dim=1).values
        scaled = (torch.clamp(values, self.lower, self.upper) - self.mean) / self.scale
        scaled = torch.where(seen, scaled, 0.0)
        ever = last >= 0
        filled = torch.where(ever, scaled.gather(1, last.clamp(min=0)), 0.0)
        gap_hours = torch.where(ever, (position - last).to(values.dtype) * self.bin_hours, _GAP_CAP_HOURS)
        gap = torch.log1p(gap_hours.clamp(max=_GAP_CAP_HOURS)) / torch.log1p(torch.tensor(_GAP_CAP_HOURS))
        return filled, seen.to(values.dtype), gap

    def _scaled_statics(self, numeric: Tensor) -> Tensor:
        known = torch.where(torch.isnan(numeric), self.static_median, numeric)
        return (known - self.static_mean) / self.static_scale

    def _one_hot(self, codes: Tensor) -> Tensor:
        """One column a category; a category that training never saw is all zeros."""
        columns = [
            (codes[:, index, None] == torch.arange(size, device=codes.device)).to(self.mean.dtype)
            for index, size in enumerate(self.category_sizes)
        ]
        return torch.cat(columns, dim=-1) if columns else self.mean.new_zeros((len(codes), 0))
