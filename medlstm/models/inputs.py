"""The input layers: skew transform, imputation, masks, time gaps, clipping and scaling, as part of the model."""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from medlstm.sequences.batches import RawBatch

_GAP_CAP_HOURS = 168.0


class Observed(NamedTuple):
    """Scaled values per step and variable, each [B, T, V]: as measured (0 where nothing was), the last one seen
    (0, the mean, before the first), whether one was measured here, and the age of the last in [0, 1]."""

    scaled: Tensor
    filled: Tensor
    seen: Tensor
    gap: Tensor


class Hidden(NamedTuple):
    """One input that a model is not to know: the variable, number or category at `place`; `code` stands in for a
    category (-1: none that is known)."""

    kind: Literal["variable", "number", "category"]
    place: int
    code: int = -1


class RawInputs(nn.Module):
    """What both input layers share: buffers, scaling and one-hot categories.

    Buffers come from training stays only: mean, scale, lower, upper, skew_offset [V] (infinite: not skewed);
    static mean, scale, median [S].
    """

    mean: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor
    skew_offset: Tensor
    static_mean: Tensor
    static_scale: Tensor
    static_median: Tensor
    features: int
    first_static: int

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__()
        self.bin_hours = bin_hours
        self.category_sizes = category_sizes
        self.static_features = numeric + sum(category_sizes)
        for name, fill in (("mean", 0.0), ("scale", 1.0), ("lower", -torch.inf), ("upper", torch.inf),
                           ("skew_offset", torch.inf)):  # fmt: skip
            self.register_buffer(name, torch.full((variables,), fill))
        for name, fill in (("static_mean", 0.0), ("static_scale", 1.0), ("static_median", 0.0)):
            self.register_buffer(name, torch.full((numeric,), fill))

    def equals(self, other: "RawInputs") -> bool:
        """Whether the other layer makes the very same of all inputs; not to be known on the meta device."""
        return (
            type(self) is type(other)
            and not self.mean.is_meta
            and self.bin_hours == other.bin_hours
            and self.category_sizes == other.category_sizes
            and all(torch.equal(mine, theirs) for mine, theirs in zip(self.buffers(), other.buffers(), strict=True))
        )

    def _scaled(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Clipped, unskewed and scaled values, 0 (the mean) where nothing was observed; and where something was."""
        seen = ~torch.isnan(values)
        clipped = torch.clamp(values, self.lower, self.upper)
        even = unskewed(clipped, self.skew_offset)
        return torch.where(seen, (even - self.mean) / self.scale, 0.0), seen

    def statics(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """Scaled numbers (the median where unknown) and one-hot categories [B, T or 1, S'], as the arguments have."""
        known = torch.where(torch.isnan(numeric), self.static_median, numeric)
        return torch.cat([(known - self.static_mean) / self.static_scale, self._one_hot(codes)], dim=-1)

    def hide_static(self, statics: Tensor, hidden: Hidden) -> None:
        """Let statics [..., S'] be those of stays whose number is unknown, or whose category is the stand-in's."""
        if hidden.kind == "number":
            median = (self.static_median - self.static_mean) / self.static_scale
            statics[..., hidden.place] = median[hidden.place]
        else:
            self.hide_category(statics[..., len(self.static_mean) :], hidden)

    def hide_category(self, one_hot: Tensor, hidden: Hidden) -> None:
        """The same for one-hot columns [..., C'] alone."""
        first = sum(self.category_sizes[: hidden.place])
        one_hot[..., first : first + self.category_sizes[hidden.place]] = 0.0
        if hidden.code >= 0:
            one_hot[..., first + hidden.code] = 1.0

    def hide_variable(self, features: Tensor, place: int) -> None:
        """Let features [..., F] be those of stays in which the variable was never observed."""
        raise NotImplementedError

    def _one_hot(self, codes: Tensor) -> Tensor:
        """One column a category; a category that training never saw is all zeros."""
        columns = [
            (codes[..., index, None] == torch.arange(size, device=codes.device)).to(self.mean.dtype)
            for index, size in enumerate(self.category_sizes)
        ]
        return torch.cat(columns, dim=-1) if columns else self.mean.new_zeros((*codes.shape[:-1], 0))

    def observe(self, values: Tensor, late_hours: Tensor | None = None) -> Observed:
        """Forward fill of raw values [B, T, V] (NaN unobserved), some of which are older than their step."""
        scaled, seen = self._scaled(values)
        position = torch.arange(values.shape[1], device=values.device).view(1, -1, 1)
        told = seen if late_hours is None else seen | torch.isinf(late_hours)
        last = torch.where(told, position, -1).cummax(dim=1).values
        ever = last >= 0
        last = last.clamp(min=0)
        if late_hours is not None:
            ever = ever & seen.gather(1, last)
        filled = torch.where(ever, scaled.gather(1, last), 0.0)
        gap_hours = (position - last).to(values.dtype) * self.bin_hours
        if late_hours is not None:
            gap_hours = gap_hours + late_hours.gather(1, last)
        gap_hours = torch.where(ever, gap_hours, _GAP_CAP_HOURS)
        gap = torch.log1p(gap_hours.clamp(max=_GAP_CAP_HOURS)) / math.log1p(_GAP_CAP_HOURS)
        return Observed(scaled, filled, seen, gap)


class PlainInputs(RawInputs):
    """The tutorial's inputs: the mean where a value is missing, scaled, beside the statics; no masks or gaps."""

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__(variables, numeric, category_sizes, bin_hours)
        self.features = variables + self.static_features
        self.first_static = variables

    def forward(self, batch: RawBatch) -> Tensor:
        """Features [B, T, F]."""
        scaled, _ = self._scaled(batch.values)
        statics = self.statics(batch.numeric, batch.codes).expand(-1, scaled.shape[1], -1)
        return torch.cat([scaled, statics], dim=-1)

    def hide_variable(self, features: Tensor, place: int) -> None:
        features[..., place] = 0.0


class ClinicalInputs(RawInputs):
    """Forward-filled values, masks, hours since last observed, statics and time in hospital.

    Causal: step t sees steps 0..t only.
    """

    def __init__(self, variables: int, numeric: int, category_sizes: list[int], bin_hours: int) -> None:
        super().__init__(variables, numeric, category_sizes, bin_hours)
        self.features = 3 * variables + self.static_features + 1
        self.first_static = 3 * variables

    def forward(self, batch: RawBatch) -> Tensor:
        """Features [B, T, F]."""
        return self.features_of(self.observe(batch.values, batch.late_hours), batch)

    def features_of(self, observed: Observed, batch: RawBatch) -> Tensor:
        """Features [B, T, F] of the observed values of the batch."""
        statics = self.statics(batch.numeric, batch.codes).expand(-1, observed.filled.shape[1], -1)
        elapsed = torch.log1p(batch.elapsed_hours / 24).unsqueeze(-1)
        seen = observed.seen.to(observed.filled.dtype)
        return torch.cat([observed.filled, seen, observed.gap, statics, elapsed], dim=-1)

    def hide_variable(self, features: Tensor, place: int) -> None:
        variables = len(self.mean)
        features[..., place] = features[..., variables + place] = 0.0
        features[..., 2 * variables + place] = 1.0


def unskewed(values: Tensor, offset: Tensor) -> Tensor:
    """log(value + offset) where the offset [V] is finite (values are not negative there), else the value."""
    skewed = torch.isfinite(offset)
    return torch.where(skewed, torch.log(values.clamp(min=0.0) + torch.where(skewed, offset, 1.0)), values)
