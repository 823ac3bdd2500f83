"""An ensemble of members of one design, and what it says of the remaining stay."""

import importlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from medlstm.models.inputs import Hidden
from medlstm.models.member import Member, Part, Prediction, Prepared
from medlstm.models.spec import ModelSpec
from medlstm.sequences.batches import RawBatch
from medlstm.settings.model_names import model_names

_LOGIT_LIMIT = 15.0


def build_member(spec: ModelSpec) -> Member:
    """A member with fresh weights and neutral buffers; raises ValueError of a name that is not known."""
    if spec.name not in model_names():
        raise ValueError(f"model.name = {spec.name!r}: known are {', '.join(model_names())}")
    member: Member = importlib.import_module(f"medlstm.models.family.{spec.name}").build(spec)
    return member


class Ensemble(nn.Module):
    """Members trained from different seeds and stays, that answer with the mean of their distributions.

    The mean of several distributions is flatter than each of them is, so `spec.sharpness` (1 leaves it) moves its
    hazards further from those of the usual stay.
    """

    usual_survival: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(build_member(spec) for _ in range(spec.members))
        self.register_buffer("usual_survival", torch.linspace(1, 0, len(spec.edges_days), dtype=torch.float64))

    def each(self) -> list[Member]:
        """The members, typed."""
        return [member for member in self.members if isinstance(member, Member)]

    def only(self, position: int) -> "Ensemble":
        """One member as an ensemble of its own; its weights are shared."""
        alone = Ensemble(self.spec.model_copy(update={"members": 1}))
        alone.members = nn.ModuleList([self.members[position]])
        alone.usual_survival.copy_(self.usual_survival)
        return alone

    def at(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prediction:
        """Predictions at steps [m] of the stays at rows [m] of a batch."""
        return self.answer(self.prepare(batch, row, step))

    def prepare(self, batch: RawBatch, row: Tensor, step: Tensor) -> list[Prepared]:
        """Features at steps [m] of the stays at rows [m] of a batch, once for all parts that take the same."""
        return [group[0].prepare(batch, row, step) for group in self._parts_by_features()]

    def answer(self, prepared: list[Prepared]) -> Prediction:
        """Predictions at the points."""
        said = {
            part: part.answer(features)
            for group, features in zip(self._parts_by_features(), prepared, strict=True)
            for part in group
        }
        return self.joined([said[part] for part in self.each_part()])

    def hide(self, prepared: list[Prepared], hidden: Hidden) -> None:
        """Let the features be those of stays of which the input is not known."""
        for group, features in zip(self._parts_by_features(), prepared, strict=True):
            group[0].hide(features, hidden)

    def _parts_by_features(self) -> list[list[Part]]:
        groups: list[list[Part]] = []
        for part in self.each_part():
            alike = next((group for group in groups if part.takes_features_of(group[0])), None)
            if alike is None:
                groups.append([part])
            else:
                alike.append(part)
        return groups

    def each_part(self) -> list[Part]:
        """The parts of all members, in their order."""
        return [part for member in self.each() for part in member.each_part()]

    def joined(self, of_parts: list[Prediction]) -> Prediction:
        """The ensemble's answer from those of all parts."""
        rest = iter(of_parts)
        said = [member.joined([next(rest) for _ in member.each_part()]) for member in self.each()]
        curves = [one.survival for one in said if one.survival is not None]
        risks = [one.mortality for one in said if one.mortality is not None]
        survival = torch.stack(curves).mean(dim=0) if curves else None
        if survival is not None and self.spec.sharpness != 1:
            survival = sharpened(survival, self.usual_survival, self.spec.sharpness)
        return Prediction(
            days=torch.stack([one.days for one in said]).mean(dim=0),
            survival=survival,
            mortality=torch.stack(risks).mean(dim=0) if risks else None,
        )


def sharpened(survival: Tensor, usual: Tensor, sharpness: float) -> Tensor:
    """Survival [m, E] whose hazards' distance (of logits) from the usual survival's [E] is `sharpness` times as far."""
    own, base = _hazard_logits(survival), _hazard_logits(usual.to(survival.dtype))
    logits = base + sharpness * (own - base)
    return torch.exp(functional.pad(-functional.softplus(logits).cumsum(dim=-1), (1, 0)))


def _hazard_logits(survival: Tensor) -> Tensor:
    remaining = survival[..., 1:] / survival[..., :-1].clamp(min=1e-12)
    return -torch.logit(remaining.clamp(0.0, 1.0)).clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
