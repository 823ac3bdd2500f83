"""One predictor of an ensemble: raw inputs in, what is known of the remaining stay at chosen steps out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medlstm.models.heads import Head, build_head
from medlstm.models.inputs import ClinicalInputs, PlainInputs, RawBatch, RawInputs
from medlstm.models.spec import ModelSpec
from medlstm.models.summaries import BRANCH_STATISTICS, branch_summaries, table_features

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
        raise NotImplementedError


class StepNetwork(Member):
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
        return self._heads(*self._encoded(values, numeric, codes, elapsed_hours))

    def at(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prediction:
        # The branch and the heads see one step at a time: at other steps than these nobody asks them.
        encoded, summaries = self._encoded(*batch)
        chosen = summaries[row, step] if summaries is not None else None
        remaining, mortality = self._heads(encoded[row, step], chosen)
        risk = torch.sigmoid(mortality) if mortality is not None else None
        return Prediction(self.head.days(remaining), self.head.survival(remaining), risk)

    def _encoded(
        self, values: Tensor, numeric: Tensor, codes: Tensor, elapsed_hours: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The encoder's outputs [B, T, H], and what the branch takes [B, T, S] where there is one."""
        if self.branch is None or not isinstance(self.inputs, ClinicalInputs):
            return self.encoder(self.inputs(values, numeric, codes, elapsed_hours)), None
        observed = self.inputs.observe(values)
        features = self.inputs.features_of(observed, numeric, codes, elapsed_hours)
        context = features[..., -self.inputs.static_features - 1 :]
        return self.encoder(features), torch.cat([branch_summaries(observed), context], dim=-1)

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


class TableMember(Member):
    """A predictor on one row of summaries per point; it is fitted on all rows at once, and computes in double precision
    whatever it is converted to."""

    def rows_at(self, batch: RawBatch, row: Tensor, step: Tensor) -> Tensor:
        """Features [m, F], float64, of the given steps, rounded to `FEATURE_DECIMALS`: two devices, or two orders of a
        sum, differ in the last digit, and a tree would make a leap of it."""
        values, numeric, codes, elapsed_hours = batch
        precise = values.double(), numeric.double(), codes, elapsed_hours.double()
        return torch.round(table_features(self.inputs, precise, row, step), decimals=FEATURE_DECIMALS)

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

    def at(self, batch: RawBatch, row: Tensor, step: Tensor) -> Prediction:
        return self.predict_rows(self.rows_at(batch, row, step))

