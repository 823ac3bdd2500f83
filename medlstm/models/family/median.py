"""The same answer for everyone: the distribution of all training stays, censored ones included."""

import numpy as np
import torch
from torch import Tensor

from medlstm.models.distribution import kaplan_meier
from medlstm.models.heads import median_of
from medlstm.models.member import Prediction
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableMember, TableRows


class Median(TableMember):
    """The product-limit survival curve of the training rows, and the share of them that died."""

    survival: Tensor
    risk: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.register_buffer("survival", torch.ones(len(spec.edges_days), dtype=torch.float64))
        self.register_buffer("risk", torch.zeros(1, dtype=torch.float64))

    def fit_rows(self, rows: TableRows, seed: int) -> None:
        curve = kaplan_meier(rows.days.numpy(), rows.censored.numpy(), np.array(self.spec.edges_days))
        self.survival.copy_(torch.from_numpy(curve))
        known = ~torch.isnan(rows.died)
        self.risk.copy_(rows.died[known].mean().nan_to_num().reshape(1))

    def predict_rows(self, features: Tensor) -> Prediction:
        survival = self.survival.expand(len(features), -1)
        risk = self.risk.expand(len(features)) if self.spec.mortality else None
        return Prediction(median_of(survival, self.spec.edges_days), survival, risk)


def build(spec: ModelSpec) -> Median:
    """A member that knows nothing yet."""
    return Median(spec)
