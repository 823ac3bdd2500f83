"""The input layers: imputation, masks, time gaps, clipping and scaling, on the device, as part of the model."""

import math

import torch
from torch import Tensor, nn

_GAP_CAP_HOURS = 168.0


class RawInputs(nn.Module):
    """What both input layers share: buffers, scaling and one-hot categories.

    Buffers come from training stays only: mean, scale, lower, upper [V]; static mean, scale, median [S].
    """

    mean: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor
    static_mean: Tensor
    static_scale: Tensor
    static_median: Tensor
    features: int

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__()
        self.bin_hours = bin_hours
        self.category_sizes = category_sizes
        for name, fill in (("mean", 0.0), ("scale", 1.0), ("lower", -torch.inf), ("upper", torch.inf)):
            self.register_buffer(name, torch.full((variables,), fill))
        for name, fill in (("static_mean", 0.0), ("static_scale", 1.0), ("static_median", 0.0)):
            self.register_buffer(name, torch.full((numeric,), fill))

    def _scaled(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Clipped and scaled values, 0 (the mean) where nothing was observed; and where something was."""
        seen = ~torch.isnan(values)
        scaled = (torch.clamp(values, self.lower, self.upper) - self.mean) / self.scale
        return torch.where(seen, scaled, 0.0), seen

    def _statics(self, numeric: Tensor, codes: Tensor, steps: int) -> Tensor:
        """Scaled numbers (the median where unknown) and one-hot categories, the same at each step."""
        known = torch.where(torch.isnan(numeric), self.static_median, numeric)
        statics = torch.cat([(known - self.static_mean) / self.static_scale, self._one_hot(codes)], dim=-1)
        return statics.unsqueeze(1).expand(-1, steps, -1)

    def _one_hot(self, codes: Tensor) -> Tensor:
        """One column a category; a category that training never saw is all zeros."""
        columns = [
            (codes[:, index, None] == torch.arange(size, device=codes.device)).to(self.mean.dtype)
            for index, size in enumerate(self.category_sizes)
        ]
        return torch.cat(columns, dim=-1) if columns else self.mean.new_zeros((len(codes), 0))


class PlainInputs(RawInputs):
    """The tutorial's inputs: the mean where a value is missing, scaled, beside the statics; no masks or gaps."""

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__(variables, numeric, category_sizes, bin_hours)
        self.features = variables + numeric + sum(category_sizes)

    def forward(self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor) -> Tensor:
        """Features [B, T, F]; arguments as in ClinicalInputs.forward."""
        scaled, _ = self._scaled(values)
        return torch.cat([scaled, self._statics(numeric, codes, elapsed_hours.shape[1])], dim=-1)


class ClinicalInputs(RawInputs):
    """Forward-filled values, masks, hours since last observed, statics and time in hospital.

    Causal: step t sees steps 0..t only.
    """

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__(variables, numeric, category_sizes, bin_hours)
        self.features = 3 * variables + numeric + sum(category_sizes) + 1

    def forward(self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor) -> Tensor:
        """Features [B, T, F] from values [B, T, V] (NaN unobserved), numeric [B, S] (NaN unknown), codes [B, C]
        (-1 unknown) and elapsed_hours [B, T]."""
        filled, observed, gap = self._forward_fill(values)
        statics = self._statics(numeric, codes, values.shape[1])
        elapsed = torch.log1p(elapsed_hours / 24).unsqueeze(-1)
        return torch.cat([filled, observed, gap, statics, elapsed], dim=-1)

    def _forward_fill(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The last value seen (scaled; 0, the mean, before the first), whether it is new, and its age in [0, 1]."""
        scaled, seen = self._scaled(values)
        position = torch.arange(values.shape[1], device=values.device).view(1, -1, 1)
        last = torch.where(seen, position, -1).cummax(dim=1).values
        ever = last >= 0
        filled = torch.where(ever, scaled.gather(1, last.clamp(min=0)), 0.0)
        gap_hours = torch.where(ever, (position - last).to(values.dtype) * self.bin_hours, _GAP_CAP_HOURS)
        gap = torch.log1p(gap_hours.clamp(max=_GAP_CAP_HOURS)) / math.log1p(_GAP_CAP_HOURS)
        return filled, seen.to(values.dtype), gap
