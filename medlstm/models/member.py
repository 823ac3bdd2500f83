"""One predictor of an ensemble: raw inputs in, what is known of the remaining stay at chosen steps out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from medlstm.models.inputs import ClinicalInputs, Hidden, PlainInputs, RawInputs
from medlstm.models.spec import ModelSpec
from medlstm.sequences.batches import RawBatch


class Prediction(NamedTuple):
    """What a member says at m points: the point in days [m], survival at the edges [m, E] (float64) where it gives
    a distribution, and the probability of dying in hospital [m] where that is trained."""

    days: Tensor
    survival: Tensor | None
    mortality: Tensor | None


class Prepared(NamedTuple):
    """What a part computes its answers at m points from: features of every step [B, T, F] where it has an encoder,
    features of the points alone [m, S], and the row and step [m] of each."""

    sequence: Tensor | None
    summary: Tensor | None
    row: Tensor
    step: Tensor

    def of(self, points: Tensor) -> "Prepared":
        """A copy for some of the points [k], each with a stay of its own."""
        sequence = self.sequence[self.row[points]] if self.sequence is not None else None
        summary = self.summary[points] if self.summary is not None else None
        return Prepared(sequence, summary, torch.arange(len(points), device=points.device), self.step[points])


class Member(nn.Module):
    """A predictor with its own input layer. It is causal, and no stay of a batch changes another's prediction."""

    inputs: RawInputs

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        layer = {"clinical": ClinicalInputs, "plain": PlainInputs}[spec.inputs]
        self.inputs = layer(len(spec.variables), len(spec.numeric), spec.category_sizes, spec.bin_hours)

    def at(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prediction:
        """Predictions at steps [m] of the stays at rows [m] of a batch."""
        return self.joined([part.answer(part.prepare(batch, row, step)) for part in self.each_part()])

    def each_part(self) -> "tuple[Part, ...]":
        """What computes the answers."""
        raise NotImplementedError

    def joined(self, said: list[Prediction]) -> Prediction:
        """The member's answer from those of its parts."""
        raise NotImplementedError


class Part(Member):
    """A member of one part: its features are computed apart from its answer, so that one input can be hidden from them
    without computing the others again."""

    def prepare(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prepared:
        """Features at steps [m] of the stays at rows [m] of a batch."""
        raise NotImplementedError

    def answer(self, prepared: Prepared) -> Prediction:
        """Predictions at the points."""
        raise NotImplementedError

    def hide(self, prepared: Prepared, hidden: Hidden) -> None:
        """Let the features be those of stays of which the input is not known."""
        raise NotImplementedError

    def takes_features_of(self, other: "Part") -> bool:
        """Whether `other` prepares the very features that this part does, so that they are computed but once."""
        raise NotImplementedError

    def each_part(self) -> "tuple[Part, ...]":
        return (self,)

    def joined(self, said: list[Prediction]) -> Prediction:
        (one,) = said
        return one
