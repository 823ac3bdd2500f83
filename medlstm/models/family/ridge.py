"""Ridge regression of log(1 + days) on summaries of the stay so far, and logistic regression of dying."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from torch import Tensor

from medlstm.models.heads import QUANTILE_LEVELS, median_of
from medlstm.models.member import Prediction, TableMember, TableRows
from medlstm.models.spec import ModelSpec

_PENALTIES = tuple(10.0**power for power in range(0, 6))
_RISK_STRENGTH = 0.003
_CLIP = 5.0


class Ridge(TableMember):
    """Weights on standardised features (a missing one is at its mean), and quantiles of the errors on the log scale.

    Censored rows are left out, as ridge regression has no place for them.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        for name in ("centre", "width", "weights", "risk_weights"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.register_buffer("errors", torch.zeros(len(QUANTILE_LEVELS), dtype=torch.float64))
        for name in ("bias", "risk_bias"):
            self.register_buffer(name, torch.zeros(1, dtype=torch.float64))

    def fit_rows(self, rows: TableRows, seed: int) -> None:
        features = rows.features
        seen = ~torch.isnan(features)
        count = seen.sum(0).clamp(min=1)
        self.centre = torch.where(seen, features, 0.0).sum(0) / count
        spread = (torch.where(seen, features - self.centre, 0.0).square().sum(0) / count).sqrt()
        self.width = torch.where(spread > 1e-9, spread, 1.0)
        table = self._standardised(features).numpy()
        known = ~rows.censored.numpy()
        target = np.log1p(rows.days.numpy()[known])
        ridge = RidgeCV(alphas=_PENALTIES).fit(table[known], target)
        self.weights = torch.from_numpy(ridge.coef_)
        self.bias = torch.tensor([ridge.intercept_], dtype=torch.float64)
        self.errors = torch.from_numpy(np.quantile(target - ridge.predict(table[known]), QUANTILE_LEVELS))
        died = ~torch.isnan(rows.died).numpy()
        self.risk_weights = torch.zeros_like(self.weights)
        if self.spec.mortality and len(np.unique(rows.died.numpy()[died])) == 2:
            logistic = LogisticRegression(C=_RISK_STRENGTH, max_iter=500).fit(table[died], rows.died.numpy()[died])
            self.risk_weights = torch.from_numpy(logistic.coef_[0])
            self.risk_bias = torch.from_numpy(logistic.intercept_)

    def predict_rows(self, features: Tensor) -> Prediction:
        table = self._standardised(features)
        centre = table @ self.weights + self.bias
        edges = torch.log1p(torch.tensor(self.spec.edges_days, dtype=torch.float64, device=features.device))
        levels = torch.tensor(QUANTILE_LEVELS, dtype=torch.float64, device=features.device)
        wanted = (edges.unsqueeze(0) - centre.unsqueeze(1)).contiguous()
        right = torch.searchsorted(self.errors.contiguous(), wanted).clamp(1, len(QUANTILE_LEVELS) - 1)
        below, above = self.errors[right - 1], self.errors[right]
        share = (wanted - below) / (above - below).clamp(min=1e-9)
        ended = (levels[right - 1] + share * (levels[right] - levels[right - 1])).clamp(0.0, 1.0)
        survival = torch.cat([torch.ones_like(ended[:, :1]), 1 - ended[:, 1:]], dim=1)
        risk = torch.sigmoid(table @ self.risk_weights + self.risk_bias) if self.spec.mortality else None
        return Prediction(median_of(survival, self.spec.edges_days), survival, risk)

    def _standardised(self, features: Tensor) -> Tensor:
        scaled = ((features - self.centre) / self.width).clamp(-_CLIP, _CLIP)
        return torch.nan_to_num(scaled, nan=0.0)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """The number of features is that of the file."""
        for name in ("centre", "width", "weights", "risk_weights"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], dtype=torch.float64))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def build(spec: ModelSpec) -> Ridge:
    """A member that knows nothing yet."""
    return Ridge(spec)
