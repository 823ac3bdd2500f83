"""Ridge regression of log(1 + days) on summaries of the stay so far, and logistic regression of dying."""

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor

from medlstm.models.heads import QUANTILE_LEVELS, median_of
from medlstm.models.linear import LinearMember
from medlstm.models.member import Prediction
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableRows

_PENALTIES = tuple(10.0**power for power in range(0, 6))


class Ridge(LinearMember):
    """Weights on standardised features, and quantiles of the errors on the log scale.

    Censored rows are left out, as ridge regression has no place for them.
    """

    errors: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.register_buffer("errors", torch.zeros(len(QUANTILE_LEVELS), dtype=torch.float64))

    def fit_days(self, table: Tensor, rows: TableRows) -> None:
        ended = ~rows.censored
        known, target = table[ended].numpy(), torch.log1p(rows.days[ended]).numpy()
        ridge = RidgeCV(alphas=_PENALTIES).fit(known, target)
        self.weights = torch.from_numpy(ridge.coef_)
        self.bias = torch.tensor([ridge.intercept_], dtype=torch.float64)
        self.errors = torch.from_numpy(np.quantile(target - ridge.predict(known), QUANTILE_LEVELS))

    def predict_rows(self, features: Tensor) -> Prediction:
        table = self.standardised(features)
        centre = table @ self.weights + self.bias
        edges = torch.log1p(torch.tensor(self.spec.edges_days, dtype=torch.float64, device=features.device))
        levels = torch.tensor(QUANTILE_LEVELS, dtype=torch.float64, device=features.device)
        wanted = (edges.unsqueeze(0) - centre.unsqueeze(1)).contiguous()
        right = torch.searchsorted(self.errors.contiguous(), wanted).clamp(1, len(QUANTILE_LEVELS) - 1)
        below, above = self.errors[right - 1], self.errors[right]
        share = (wanted - below) / (above - below).clamp(min=1e-9)
        ended = (levels[right - 1] + share * (levels[right] - levels[right - 1])).clamp(0.0, 1.0)
        survival = torch.cat([torch.ones_like(ended[:, :1]), 1 - ended[:, 1:]], dim=1)
        return Prediction(median_of(survival, self.spec.edges_days), survival, self.risk(table))


def build(spec: ModelSpec) -> Ridge:
    """A member that knows nothing yet."""
    return Ridge(spec)
