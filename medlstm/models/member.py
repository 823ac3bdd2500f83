"""One predictor of an ensemble: raw inputs in, what is known of the remaining stay at chosen steps out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medlstm.models.heads import Head, build_head
from medlstm.models.inputs import ClinicalInputs, Hidden, Observed, PlainInputs, RawBatch, RawInputs
from medlstm.models.spec import ModelSpec
from medlstm.models.summaries import (
    BRANCH_STATISTICS,
    branch_summaries,
    branch_summaries_at,
    hide_table_feature,
    table_features,
)

FEATURE_DECIMALS = 4


class StepOutput(NamedTuple):
    """What a network says at every step: the head's outputs [B, T, K] and the logit of dying in hospital [B, T]."""

    remaining: Tensor
    mortality: Tensor | None


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
        """Predictions at steps [m] of the stays at rows [m] of a batch (see ClinicalInputs.forward)."""
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


class StepNetwork(Part):
    """Input layer, an encoder over the steps, a branch of stay-so-far summaries, and the heads; learns by gradient.

    `encoder` maps [B, T, inputs.features] to [B, T, hidden_units], step t seeing steps 0..t only.
    """

    def __init__(self, spec: ModelSpec, encoder_of: type[nn.Module]) -> None:
        super().__init__(spec)
        self.head: Head = build_head(spec.head, spec.edges_days)
        hidden = spec.hidden_units
        self.encoder = encoder_of(self.inputs.features, hidden, spec.layers, spec.dropout)
        self.branch: nn.Module | None = None
        if spec.summaries and isinstance(self.inputs, ClinicalInputs):
            width = BRANCH_STATISTICS * len(spec.variables) + self.inputs.static_features + 1
            self.branch = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(spec.dropout))
        self.dropout = nn.Dropout(spec.dropout)
        joined = 2 * hidden if self.branch is not None else hidden
        self.output = nn.Linear(joined, self.head.outputs)
        self.mortality = nn.Linear(joined, 1) if spec.mortality else None

    def forward(self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor) -> StepOutput:
        """Outputs at every step; arguments as in ClinicalInputs.forward. Padding at the end changes no earlier step."""
        features, observed = self._features(values, numeric, codes, elapsed_hours)
        summaries = None
        if observed is not None:
            summaries = torch.cat([branch_summaries(observed), self._context(features)], dim=-1)
        return self._heads(self.encoder(features), summaries)

    def prepare(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prepared:
        # The branch and the heads see one step at a time: at other steps than these nobody asks them.
        features, observed = self._features(*batch)
        summaries = None
        if observed is not None:
            context = self._context(features)[row, step]
            summaries = torch.cat([branch_summaries_at(observed, row, step), context], dim=-1)
        return Prepared(features, summaries, row, step)

    def answer(self, prepared: Prepared) -> Prediction:
        encoded = self.encoder(prepared.sequence)[prepared.row, prepared.step]
        remaining, mortality = self._heads(encoded, prepared.summary)
        risk = torch.sigmoid(mortality) if mortality is not None else None
        return Prediction(self.head.days(remaining), self.head.survival(remaining), risk)

    def hide(self, prepared: Prepared, hidden: Hidden) -> None:
        variables = len(self.spec.variables)
        sequence, summary = prepared.sequence, prepared.summary
        assert sequence is not None
        if hidden.kind == "variable":
            self.inputs.hide_variable(sequence, hidden.place)
            if summary is not None:
                summary[:, hidden.place : BRANCH_STATISTICS * variables : variables] = 0.0
            return
        first = self.inputs.first_static
        self.inputs.hide_static(sequence[..., first : first + self.inputs.static_features], hidden)
        if summary is not None:
            first = BRANCH_STATISTICS * variables
            self.inputs.hide_static(summary[:, first : first + self.inputs.static_features], hidden)

    def takes_features_of(self, other: Part) -> bool:
        if not isinstance(other, StepNetwork) or (self.branch is None) != (other.branch is None):
            return False
        return self.inputs.equals(other.inputs)

    def _features(
        self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor
    ) -> tuple[Tensor, Observed | None]:
        """What the encoder takes [B, T, F], and the observed values where there is a branch."""
        if self.branch is None or not isinstance(self.inputs, ClinicalInputs):
            features: Tensor = self.inputs(values, numeric, codes, elapsed_hours)
            return features, None
        observed = self.inputs.observe(values)
        return self.inputs.features_of(observed, numeric, codes, elapsed_hours), observed

    def _context(self, features: Tensor) -> Tensor:
        """Statics and elapsed time, which the branch takes too."""
        return features[..., -self.inputs.static_features - 1 :]

    def _heads(self, encoded: Tensor, summaries: Tensor | None) -> StepOutput:
        joined = self.dropout(encoded)
        if self.branch is not None and summaries is not None:
            joined = torch.cat([joined, self.branch(summaries)], dim=-1)
        logit = self.mortality(joined).squeeze(-1) if self.mortality is not None else None
        return StepOutput(self.output(joined), logit)


@dataclass(frozen=True)
class TableRows:
    """Points as rows for models on tables: features [n, F] float64 (NaN where nothing is known), days that remain
    (for a censored row, that are known to remain) [n], censored [n] bool, died [n] (NaN unknown)."""

    features: Tensor
    days: Tensor
    censored: Tensor
    died: Tensor


class TableMember(Part):
    """A predictor on one row of summaries per point; it is fitted on all rows at once, and computes in double precision
    whatever it is converted to."""

    def rows_at(self, batch: RawBatch, row: Tensor, step: Tensor) -> Tensor:
        """Features [m, F], float64, of the given steps, rounded to `FEATURE_DECIMALS`: two devices, or two orders of a
        sum, differ in the last digit, and a tree would make a leap of it."""
        values, numeric, codes, elapsed_hours = batch
        precise = values.double(), numeric.double(), codes, elapsed_hours.double()
        features = table_features(self.inputs, precise, row, step, self.spec.table_statistics)
        return torch.round(features, decimals=FEATURE_DECIMALS)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "TableMember":
        """Moves to another device, not to another precision: weights and splits were learnt in double."""

        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return tensor.to(result.device) if tensor.dtype == torch.float64 != result.dtype else result

        super()._apply(moved, recurse)
        return self

    def fit_rows(self, rows: TableRows, seed: int) -> None:
        """Learn from training rows."""
        raise NotImplementedError

    def predict_rows(self, features: Tensor) -> Prediction:
        """Predictions for features [m, F]."""
        raise NotImplementedError

    def prepare(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prepared:
        return Prepared(None, self.rows_at(batch, row, step), row, step)

    def answer(self, prepared: Prepared) -> Prediction:
        assert prepared.summary is not None
        return self.predict_rows(prepared.summary)

    def takes_features_of(self, other: Part) -> bool:
        if not isinstance(other, TableMember) or self.spec.table_statistics != other.spec.table_statistics:
            return False
        return self.inputs.equals(other.inputs)

    def hide(self, prepared: Prepared, hidden: Hidden) -> None:
        assert prepared.summary is not None
        hide_table_feature(self.inputs, prepared.summary, hidden, self.spec.table_statistics)

