"""Heads for the remaining length of stay: outputs per step, their loss, and what they say in days."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

HeadName = Literal["hazard", "quantile", "smooth_log", "mse", "mae", "msle"]
QUANTILE_LEVELS = tuple(level / 20 for level in range(1, 20))


class Head(Protocol):
    """`outputs` numbers K per step; each method takes outputs [..., K]."""

    @property
    def outputs(self) -> int: ...

    def loss(
        self, output: Tensor, days: Tensor, censored: Tensor, followup_days: Tensor | None = None
    ) -> Tensor:
        """Loss per step [...]; on a censored step `days` is the time already known to remain. Ends are known up to
        `followup_days` [...] after a step (None: of all stays that are not censored); a head of one number has no use
        for it.

        Raises ValueError when the shapes differ, which would broadcast in silence.
        """

    def start(self, days: Tensor, censored: Tensor) -> Tensor:
        """The constant output [K] that suits steps [n], so that no epoch is spent on finding the level."""

    def days(self, output: Tensor) -> Tensor:
        """The point prediction in days [...], never below zero."""

    def survival(self, output: Tensor) -> Tensor | None:
        """Probability of still being in at each edge [..., E], float64; None of a head that gives a point only."""


def build_head(name: HeadName, edges_days: tuple[float, ...]) -> Head:
    """The head of that name; `edges_days` are the bins of every distribution."""
    if name == "hazard":
        return HazardHead(edges_days)
    if name == "quantile":
        return QuantileHead(edges_days)
    return RegressionHead(name)


@dataclass(frozen=True)
class RegressionHead:
    """`mse` and `mae` work in days; `msle` (squared) and `smooth_log` (SmoothL1) on log(1 + days)."""

    name: HeadName
    outputs: int = 1

    def encode(self, days: Tensor) -> Tensor:
        """Days to the scale of the network's output."""
        return torch.log1p(days) if self.name in ("msle", "smooth_log") else days

    def days(self, output: Tensor) -> Tensor:
        single = output.squeeze(-1)
        return (torch.expm1(single) if self.name in ("msle", "smooth_log") else single).clamp(min=0.0)

    def survival(self, output: Tensor) -> Tensor | None:
        return None

    def start(self, days: Tensor, censored: Tensor) -> Tensor:
        return self.encode(days).median().reshape(1)

    def loss(
        self, output: Tensor, days: Tensor, censored: Tensor, followup_days: Tensor | None = None
    ) -> Tensor:
        """One-sided on a censored step: only an output below what is known to remain is wrong."""
        _require_shapes(output, days, censored, self.outputs)
        single = output.squeeze(-1)
        target = self.encode(days)
        target = torch.where(censored, torch.maximum(target, single.detach()), target)
        match self.name:
            case "mae":
                return functional.l1_loss(single, target, reduction="none")
            case "smooth_log":
                return functional.smooth_l1_loss(single, target, reduction="none")
            case _:
                return functional.mse_loss(single, target, reduction="none")


class QuantileHead:
    """Quantiles of log(1 + days) that cannot cross, by the pinball loss.

    Source: Koenker and Bassett, "Regression quantiles", Econometrica 1978.
    """

    outputs = len(QUANTILE_LEVELS)

    def __init__(self, edges_days: tuple[float, ...]) -> None:
        self.edges_days = edges_days

    def quantiles(self, output: Tensor) -> Tensor:
        """Quantiles of log(1 + days) [..., K], rising: the first output, then a positive step for each other."""
        return torch.cat([output[..., :1], functional.softplus(output[..., 1:])], dim=-1).cumsum(dim=-1)

    def days(self, output: Tensor) -> Tensor:
        return torch.expm1(self.quantiles(output)[..., QUANTILE_LEVELS.index(0.5)]).clamp(min=0.0)

    def start(self, days: Tensor, censored: Tensor) -> Tensor:
        wanted = torch.quantile(torch.log1p(days), days.new_tensor(QUANTILE_LEVELS))
        steps = wanted.diff().clamp(min=1e-3)
        return torch.cat([wanted[:1], torch.log(torch.expm1(steps))])

    def loss(
        self, output: Tensor, days: Tensor, censored: Tensor, followup_days: Tensor | None = None
    ) -> Tensor:
        _require_shapes(output, days, censored, self.outputs)
        quantiles = self.quantiles(output)
        target = torch.log1p(days).unsqueeze(-1).expand_as(quantiles)
        target = torch.where(censored.unsqueeze(-1), torch.maximum(target, quantiles.detach()), target)
        error = target - quantiles
        levels = output.new_tensor(QUANTILE_LEVELS)
        return torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)

    def survival(self, output: Tensor) -> Tensor | None:
        """Straight lines on the log scale between the quantiles, and on beyond the outer ones."""
        quantiles = self.quantiles(output).double()
        levels = torch.tensor(QUANTILE_LEVELS, dtype=torch.float64, device=output.device)
        edges = torch.log1p(torch.tensor(self.edges_days, dtype=torch.float64, device=output.device))
        wanted = edges.expand(*quantiles.shape[:-1], -1).contiguous()
        right = torch.searchsorted(quantiles.contiguous(), wanted).clamp(1, self.outputs - 1)
        below, above = quantiles.gather(-1, right - 1), quantiles.gather(-1, right)
        share = (wanted - below) / (above - below).clamp(min=1e-9)
        ended = (levels[right - 1] + share * (levels[right] - levels[right - 1])).clamp(0.0, 1.0)
        return torch.cat([torch.ones_like(ended[..., :1]), 1 - ended[..., 1:]], dim=-1)


class HazardHead:
    """Discrete-time hazard: per bin the logit of ending in it, given that the stay has reached it.

    A stay that ended counts in every bin up to its own; a censored one counts as having survived the part of
    the bins it is known to have. To the likelihood is added the error of the distribution function on the log
    scale (the ranked probability score), which brings the median's error down; of each stay up to its follow-up.
    Sources: Gensheimer and Narasimhan, "A scalable discrete-time survival model for neural networks", PeerJ 2019;
    Gneiting and Raftery, "Strictly proper scoring rules", JASA 2007.
    """

    def __init__(self, edges_days: tuple[float, ...], score_weight: float = 1.0) -> None:
        if len(edges_days) < 2 or edges_days[0] != 0:
            raise ValueError(f"a hazard needs edges from 0 upwards, got {edges_days}")
        self.edges_days = edges_days
        self.outputs = len(edges_days) - 1
        self.score_weight = score_weight

    def loss(
        self, output: Tensor, days: Tensor, censored: Tensor, followup_days: Tensor | None = None
    ) -> Tensor:
        _require_shapes(output, days, censored, self.outputs)
        lower, upper = self._bounds(output)
        time = days.unsqueeze(-1)
        survived = ((time - lower) / (upper - lower)).clamp(0.0, 1.0)
        ends_here = ~censored.unsqueeze(-1) & (time <= upper) & ((time > lower) | (lower == 0))
        at_risk = torch.where(ends_here, 1.0, torch.where(censored.unsqueeze(-1), survived, (time > upper).float()))
        likelihood = (at_risk * functional.softplus(output)).sum(-1) - (ends_here * output).sum(-1)
        if self.score_weight == 0:
            return likelihood
        ended = 1 - torch.exp(-functional.softplus(output).cumsum(dim=-1))
        # Of all stays alike only what the follow-up tells: the later bins of those that ended would be of short ones.
        followup = torch.where(censored, days, torch.inf) if followup_days is None else followup_days
        known = (followup.unsqueeze(-1) >= upper).to(output.dtype)
        width = torch.log1p(upper) - torch.log1p(lower)
        # The part of the bin's width by which the stay has ended, so that the score has no steps.
        truth = torch.where(censored.unsqueeze(-1), 0.0, 1 - survived)
        middle = (ended + functional.pad(ended, (1, 0))[..., :-1]) / 2
        score = (known * width * (middle - truth).square()).sum(-1)
        return likelihood + self.score_weight * score

    def start(self, days: Tensor, censored: Tensor) -> Tensor:
        lower, upper = self._bounds(days)
        time = days.unsqueeze(-1)
        reached = (time > lower) | (lower == 0)
        ends = reached & (time <= upper) & ~censored.unsqueeze(-1)
        at_risk = (reached & ~(censored.unsqueeze(-1) & (time < upper))).sum(0)
        return torch.logit(((ends.sum(0) + 0.5) / (at_risk + 1.0)).clamp(1e-4, 1 - 1e-4))

    def survival(self, output: Tensor) -> Tensor | None:
        log_survival = -functional.softplus(output.double()).cumsum(dim=-1)
        return torch.exp(functional.pad(log_survival, (1, 0)))

    def days(self, output: Tensor) -> Tensor:
        """The median within the bins; the last edge where it lies beyond."""
        curve = self.survival(output)
        assert curve is not None
        return median_of(curve, self.edges_days).to(output.dtype)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        edges = torch.tensor(self.edges_days, dtype=like.dtype, device=like.device)
        return edges[:-1], edges[1:]


def median_of(survival: Tensor, edges_days: tuple[float, ...]) -> Tensor:
    """The median in days [...] of survival curves [..., E]; the last edge where it lies beyond."""
    edges = torch.tensor(edges_days, dtype=survival.dtype, device=survival.device)
    right = (survival > 0.5).sum(-1, keepdim=True).clamp(1, len(edges_days) - 1)
    above, below = survival.gather(-1, right - 1), survival.gather(-1, right)
    share = ((above - 0.5) / (above - below).clamp(min=1e-12)).clamp(0.0, 1.0).squeeze(-1)
    left = edges[right.squeeze(-1) - 1]
    return left + share * (edges[right.squeeze(-1)] - left)


def _require_shapes(output: Tensor, days: Tensor, censored: Tensor, outputs: int) -> None:
    if not output.shape == (*days.shape, outputs) or days.shape != censored.shape:
        raise ValueError(
            f"shapes differ: output {tuple(output.shape)}, days {tuple(days.shape)}, "
            f"censored {tuple(censored.shape)}, {outputs} outputs a step"
        )
