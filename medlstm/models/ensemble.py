"""An ensemble of members of one design, and what it says of the remaining stay."""

import importlib

import torch
from torch import nn

from medlstm.models.member import Member, Prediction, RawBatch
from medlstm.models.names import model_names
from medlstm.models.spec import ModelSpec


def build_member(spec: ModelSpec) -> Member:
    """A member with fresh weights and neutral buffers; raises ValueError of a name that is not known."""
    if spec.name not in model_names():
        raise ValueError(f"model.name = {spec.name!r}: known are {', '.join(model_names())}")
    member: Member = importlib.import_module(f"medlstm.models.family.{spec.name}").build(spec)
    return member


class Ensemble(nn.Module):
    """Members trained from different seeds and validation stays, that answer with the mean of their distributions."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(build_member(spec) for _ in range(spec.members))

    def each(self) -> list[Member]:
        """The members, typed."""
        return [member for member in self.members if isinstance(member, Member)]

    def at(self, batch: RawBatch, row: torch.Tensor, step: torch.Tensor) -> Prediction:
        """Predictions at steps [m] of the stays at rows [m] of a batch."""
        said = [member.at(batch, row, step) for member in self.each()]
        curves = [one.survival for one in said if one.survival is not None]
        risks = [one.mortality for one in said if one.mortality is not None]
        return Prediction(
            days=torch.stack([one.days for one in said]).mean(dim=0),
            survival=torch.stack(curves).mean(dim=0) if curves else None,
            mortality=torch.stack(risks).mean(dim=0) if risks else None,
        )
