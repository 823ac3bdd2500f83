"""Statistics of the stay so far at every step: causal, and the same however often something was measured."""

import torch
from torch import Tensor
from torch.nn import functional

from medlstm.models.inputs import Hidden, Observed, RawInputs
from medlstm.sequences.batches import RawBatch

# Statistics per variable that the branch of a network takes, and that tables (trees, ridge) take.
BRANCH_STATISTICS = 6
TABLE_STATISTICS = (
    "last", "mean", "minimum", "maximum", "spread", "first", "day_mean", "day_change", "age", "count", "change_spread",
)  # fmt: skip
# What is known of a variable that was never observed; all else is missing.
_NEVER_OBSERVED = {"age": 1.0, "count": 0.0}
_DAY_HOURS = 24


def branch_summaries(observed: Observed) -> Tensor:
    """Running mean, maximum, minimum, spread, change since the first value and whether there was one at all
    [B, T, 6 V], 0 where nothing has been observed yet.

    Counts stay out on purpose: another hospital measures more or less often.
    """
    return _branch(_running(observed), observed.filled)


def branch_summaries_at(observed: Observed, row: Tensor, step: Tensor) -> Tensor:
    """The same at steps [m] of the stays at rows [m] only, [m, 6 V]."""
    return _branch(_statistics_at(observed, row, step), observed.filled[row, step])


def _branch(statistics: dict[str, Tensor], filled: Tensor) -> Tensor:
    change = filled - statistics["first"]
    ever = statistics["ever"]
    parts = [statistics["mean"], statistics["maximum"], statistics["minimum"], statistics["spread"], change]
    return torch.cat([*(torch.where(ever, part, 0.0) for part in parts), ever.to(filled.dtype)], dim=-1)


def table_features(
    inputs: RawInputs, batch: RawBatch, row: Tensor, step: Tensor, names: tuple[str, ...] = TABLE_STATISTICS
) -> Tensor:
    """A row for models on tables at each of the steps [m] of the stays at rows [m] of a batch [m, F]: the named
    summaries per variable (NaN where there are none), statics (NaN unknown) and time in hospital."""
    observed = inputs.observe(batch.values, batch.late_hours)
    statistics = _statistics_at(observed, row, step)
    before = _statistics_at(observed, row, step - max(_DAY_HOURS // inputs.bin_hours, 1))
    count, mean = statistics["count"], statistics["mean"]
    recent = count - before["count"]
    day_mean = (statistics["total"] - before["total"]) / recent.clamp(min=1)
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
        "change_spread": torch.where(count > 2, statistics["change_spread"], nothing),
    }
    one_hot = inputs.statics(batch.numeric, batch.codes)[..., batch.numeric.shape[-1] :]
    # Where no feature of the batch changes there is one step for all.
    known_at = step.clamp(max=batch.codes.shape[1] - 1)
    statics = [batch.numeric[row, known_at], one_hot[row, known_at], batch.elapsed_hours[row, step].unsqueeze(-1)]
    return torch.cat([*(columns[name] for name in names), *statics], dim=-1)


def hide_table_feature(inputs: RawInputs, features: Tensor, hidden: Hidden, names: tuple[str, ...]) -> None:
    """Let rows [m, F] of `table_features` be those of stays of which an input is not known."""
    variables, numbers = len(inputs.mean), len(inputs.static_mean)
    first_static = len(names) * variables
    if hidden.kind == "variable":
        for index, name in enumerate(names):
            features[:, index * variables + hidden.place] = _NEVER_OBSERVED.get(name, float("nan"))
    elif hidden.kind == "number":
        features[:, first_static + hidden.place] = float("nan")
    else:
        first = first_static + numbers
        inputs.hide_category(features[:, first : first + sum(inputs.category_sizes)], hidden)


def _statistics_at(observed: Observed, row: Tensor, step: Tensor) -> dict[str, Tensor]:
    """Statistics over steps 0..step[m] of the stays at rows [m], each [m, V]; of no steps (step < 0) counts and totals
    are 0 and the rest has no meaning.

    With no more points than stays, as in a night, which asks each once, sums and extremes of the whole are several
    times as fast as running ones of which one is taken.
    """
    if len(row) > len(observed.seen):
        at = step.clamp(min=0)
        running = _running(observed)
        running["change_spread"] = _change_spread(observed, running["count"])
        statistics = {name: one[row, at] for name, one in running.items()}
        begun = (step >= 0).unsqueeze(-1)
        return statistics | {name: torch.where(begun, statistics[name], 0.0) for name in ("count", "total")}
    observed = Observed(*(one[row] for one in observed))
    scaled = observed.scaled
    position = torch.arange(scaled.shape[1], device=scaled.device).view(1, -1, 1)
    inside = observed.seen & (position <= step.view(-1, 1, 1))
    known = torch.where(inside, scaled, 0.0)
    count, total = inside.sum(dim=1).to(scaled.dtype), known.sum(dim=1)
    first_at = torch.where(inside, position, scaled.shape[1] - 1).amin(dim=1, keepdim=True)
    mean, squares = total / count.clamp(min=1), known.square().sum(dim=1) / count.clamp(min=1)
    return {
        "count": count,
        "total": total,
        "ever": count > 0,
        "mean": mean,
        "spread": (squares - mean.square()).clamp(min=0.0).sqrt(),
        "maximum": torch.where(inside, scaled, -torch.inf).amax(dim=1),
        "minimum": torch.where(inside, scaled, torch.inf).amin(dim=1),
        "first": scaled.gather(1, first_at).squeeze(1),
        "change_spread": _change_spread(observed, count, inside),
    }


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


def _change_spread(observed: Observed, count: Tensor, inside: Tensor | None = None) -> Tensor:
    """The spread of the differences between consecutive values, of which there were `count`: running [B, T, V], or over
    the steps `inside` [B, T, V] only, [B, V]."""
    before = functional.pad(observed.filled, (0, 0, 1, 0))[:, :-1]
    begun = functional.pad(observed.seen.cummax(dim=1).values, (0, 0, 1, 0))[:, :-1]
    counted = observed.seen if inside is None else inside
    change = torch.where(counted & begun, observed.scaled - before, 0.0)
    totals = [one.cumsum(dim=1) if inside is None else one.sum(dim=1) for one in (change, change.square())]
    mean, squares = (total / (count - 1).clamp(min=1) for total in totals)
    return (squares - mean.square()).clamp(min=0.0).sqrt()
