"""Statistics of the stay so far at every step: causal, and the same however often something was measured."""

import torch
from torch import Tensor

from medlstm.models.inputs import Observed, RawBatch, RawInputs

# Statistics per variable that the branch of a network takes, and that tables (trees, ridge) take.
BRANCH_STATISTICS = 6
TABLE_STATISTICS = ("last", "mean", "minimum", "maximum", "spread", "first", "day_mean", "day_change", "age", "count")
_DAY_HOURS = 24


def branch_summaries(observed: Observed) -> Tensor:
    """Running mean, maximum, minimum, spread, change since the first value and whether there was one at all
    [B, T, 6 V], 0 where nothing has been observed yet.

    Counts stay out on purpose: another hospital measures more or less often.
    """
    statistics = _running(observed)
    change = observed.filled - statistics["first"]
    ever = statistics["ever"]
    parts = [statistics["mean"], statistics["maximum"], statistics["minimum"], statistics["spread"], change]
    return torch.cat([*(torch.where(ever, part, 0.0) for part in parts), ever.to(observed.filled.dtype)], dim=-1)


def table_features(inputs: RawInputs, batch: RawBatch, row: Tensor, step: Tensor) -> Tensor:
    """A row for models on tables at each of the steps [m] of the stays at rows [m] of a batch [m, F]: summaries per
    variable (NaN where there are none), statics (NaN unknown) and time in hospital."""
    values, numeric, codes, elapsed_hours = batch
    observed = inputs.observe(values)
    running = _running(observed)
    statistics = {name: one[row, step] for name, one in running.items()}
    day_before = step - max(_DAY_HOURS // inputs.bin_hours, 1)
    count, mean = statistics["count"], statistics["mean"]
    recent = count - _earlier(running["count"], row, day_before)
    day_mean = (statistics["total"] - _earlier(running["total"], row, day_before)) / recent.clamp(min=1)
    ever, today = statistics["ever"], recent > 0
    nothing = float("nan")
    columns = {
        "last": torch.where(ever, observed.filled[row, step], nothing),
        "mean": torch.where(ever, mean, nothing),
        "minimum": torch.where(ever, statistics["minimum"], nothing),
        "maximum": torch.where(ever, statistics["maximum"], nothing),
        "spread": torch.where(count > 1, statistics["spread"], nothing),
        "first": torch.where(ever, statistics["first"], nothing),
        "day_mean": torch.where(today, day_mean, nothing),
        "day_change": torch.where(today, day_mean - mean, nothing),
        "age": observed.gap[row, step],
        "count": torch.log1p(count),
    }
    one_hot = inputs.statics(numeric, codes)[:, numeric.shape[1] :]
    statics = [numeric[row], one_hot[row], elapsed_hours[row, step].unsqueeze(-1)]
    return torch.cat([*(columns[name] for name in TABLE_STATISTICS), *statics], dim=-1)


def _running(observed: Observed) -> dict[str, Tensor]:
    """Statistics over steps 0..t of each variable, each [B, T, V]; without meaning before the first value."""
    scaled, seen = observed.scaled, observed.seen
    count = seen.to(scaled.dtype).cumsum(dim=1)
    total = scaled.cumsum(dim=1)
    mean = total / count.clamp(min=1)
    squares = scaled.square().cumsum(dim=1) / count.clamp(min=1)
    position = torch.arange(scaled.shape[1], device=scaled.device).view(1, -1, 1)
    # Where the first value is, known from its own step on.
    first_at = torch.where(seen, position, scaled.shape[1] - 1).cummin(dim=1).values
    return {
        "count": count,
        "total": total,
        "ever": count > 0,
        "mean": mean,
        "spread": (squares - mean.square()).clamp(min=0.0).sqrt(),
        "maximum": torch.where(seen, scaled, -torch.inf).cummax(dim=1).values,
        "minimum": torch.where(seen, scaled, torch.inf).cummin(dim=1).values,
        "first": scaled.gather(1, first_at),
    }


def _earlier(running: Tensor, row: Tensor, step: Tensor) -> Tensor:
    """The running total [m, V] at earlier steps [m], 0 before the stay."""
    return torch.where((step >= 0).unsqueeze(-1), running[row, step.clamp(min=0)], 0.0)
