"""A member that is fitted on a table: one row of summaries a point."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medlstm.models.inputs import Hidden
from medlstm.models.member import Part, Prediction, Prepared
from medlstm.models.summaries import hide_table_feature, table_features
from medlstm.sequences.batches import RawBatch

FEATURE_DECIMALS = 4


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
        features = table_features(self.inputs, batch.as_type(torch.float64), row, step, self.spec.table_statistics)
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
