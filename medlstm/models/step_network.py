"""A member that learns by gradient: input layer, encoder over the steps, summaries, heads."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from medlstm.models.heads import Head, build_head
from medlstm.models.inputs import ClinicalInputs, Hidden, Observed
from medlstm.models.member import Part, Prediction, Prepared
from medlstm.models.spec import ModelSpec
from medlstm.models.summaries import BRANCH_STATISTICS, branch_summaries, branch_summaries_at
from medlstm.sequences.batches import RawBatch


class StepOutput(NamedTuple):
    """What a network says at every step: the head's outputs [B, T, K] and the logit of dying in hospital [B, T]."""

    remaining: Tensor
    mortality: Tensor | None


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

    def forward(self, batch: RawBatch) -> StepOutput:
        """Outputs at every step. Padding at the end changes no earlier step."""
        features, observed = self._features(batch)
        summaries = None
        if observed is not None:
            summaries = torch.cat([branch_summaries(observed), self._context(features)], dim=-1)
        return self._heads(self.encoder(features), summaries)

    def prepare(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prepared:
        # The branch and the heads see one step at a time: at other steps than these nobody asks them.
        features, observed = self._features(batch)
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

    def _features(self, batch: RawBatch) -> tuple[Tensor, Observed | None]:
        """What the encoder takes [B, T, F], and the observed values where there is a branch."""
        if self.branch is None or not isinstance(self.inputs, ClinicalInputs):
            features: Tensor = self.inputs(batch)
            return features, None
        observed = self.inputs.observe(batch.values, batch.late_hours)
        return self.inputs.features_of(observed, batch), observed

    def _context(self, features: Tensor) -> Tensor:
        """Statics and elapsed time, which the branch takes too."""
        return features[..., -self.inputs.static_features - 1 :]

    def _heads(self, encoded: Tensor, summaries: Tensor | None) -> StepOutput:
        joined = self.dropout(encoded)
        if self.branch is not None and summaries is not None:
            joined = torch.cat([joined, self.branch(summaries)], dim=-1)
        logit = self.mortality(joined).squeeze(-1) if self.mortality is not None else None
        return StepOutput(self.output(joined), logit)
