"""What a trained model is made of, as plain data that fits in JSON, and the network built from it."""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from medlstm.models.heads import HeadName, RegressionHead
from medlstm.models.inputs import ClinicalInputs, PlainInputs
from medlstm.models.lstm import LstmModel


class ModelSpec(BaseModel):
    """Architecture, inputs and their order; with the weights, all that scoring needs.

    `categories` maps each categorical static to its known values, in the order of their codes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["lstm"]
    head: HeadName
    inputs: Literal["clinical", "plain"]
    hidden_units: int
    layers: int
    dropout: float
    members: int
    variables: tuple[str, ...]
    numeric: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    bin_hours: int
    single_step: bool


class Ensemble(nn.Module):
    """One or more networks of the same design, trained from different seeds, that answer with their mean."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.head = RegressionHead(spec.head)
        self.members = nn.ModuleList(build_member(spec) for _ in range(spec.members))

    def lstm_members(self) -> list[LstmModel]:
        """The networks, typed."""
        return [member for member in self.members if isinstance(member, LstmModel)]

    def forward(self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor) -> Tensor:
        """Remaining length of stay in days [B, T]; arguments as in ClinicalInputs.forward."""
        outputs = [self.head.decode(member(values, numeric, codes, elapsed_hours)) for member in self.members]
        return torch.stack(outputs).mean(dim=0)


def build_member(spec: ModelSpec) -> LstmModel:
    """A network with fresh weights and neutral buffers."""
    layer = {"clinical": ClinicalInputs, "plain": PlainInputs}[spec.inputs]
    sizes = [len(known) for known in spec.categories.values()]
    inputs = layer(len(spec.variables), len(spec.numeric), sizes, spec.bin_hours)
    return LstmModel(inputs, spec.hidden_units, spec.layers, spec.dropout)
