"""What models of one weight per summary share: standardised features, and a logistic regression of dying."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableMember, TableRows

_RISK_STRENGTH = 0.003
_CLIP = 5.0


class LinearMember(TableMember):
    """Weights on standardised features; a missing one is at its mean."""

    centre: Tensor
    width: Tensor
    weights: Tensor
    bias: Tensor
    risk_weights: Tensor
    risk_bias: Tensor
    of_every_feature: tuple[str, ...] = ("centre", "width", "weights", "risk_weights")

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        for name in LinearMember.of_every_feature:
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        for name in ("bias", "risk_bias"):
            self.register_buffer(name, torch.zeros(1, dtype=torch.float64))

    def fit_rows(self, rows: TableRows, seed: int) -> None:
        features = rows.features
        seen = ~torch.isnan(features)
        count = seen.sum(0).clamp(min=1)
        self.centre = torch.where(seen, features, 0.0).sum(0) / count
        spread = (torch.where(seen, features - self.centre, 0.0).square().sum(0) / count).sqrt()
        self.width = torch.where(spread > 1e-9, spread, 1.0)
        table = self.standardised(features)
        died = ~torch.isnan(rows.died).numpy()
        self.risk_weights = table.new_zeros(table.shape[1])
        if self.spec.mortality and len(np.unique(rows.died.numpy()[died])) == 2:
            logistic = LogisticRegression(C=_RISK_STRENGTH, max_iter=500)
            logistic.fit(table.numpy()[died], rows.died.numpy()[died])
            self.risk_weights = torch.from_numpy(logistic.coef_[0])
            self.risk_bias = torch.from_numpy(logistic.intercept_)
        self.fit_days(table, rows)

    def fit_days(self, table: Tensor, rows: TableRows) -> None:
        """Learn the remaining days of rows from their standardised features [n, F]; the risk is fitted already."""
        raise NotImplementedError

    def risk(self, table: Tensor) -> Tensor | None:
        """The risk of dying [m] of standardised rows [m, F], where it is trained."""
        return torch.sigmoid(table @ self.risk_weights + self.risk_bias) if self.spec.mortality else None

    def standardised(self, features: Tensor) -> Tensor:
        """Features [m, F] around 0, of width 1, and within five of it."""
        scaled = ((features - self.centre) / self.width).clamp(-_CLIP, _CLIP)
        return torch.nan_to_num(scaled, nan=0.0)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """The number of features is that of the file."""
        for name in self.of_every_feature:
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], dtype=torch.float64))
        super()._load_from_state_dict(state_dict, prefix, *rest)
