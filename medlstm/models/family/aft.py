"""Accelerated failure time: log(1 + days) is a weighted sum of summaries of the stay so far plus a logistic error.

Censored rows count by the chance that the stay goes on for longer than is known. The sicker a patient, the later the
discharge and the sooner the death: where both ends are known (`two_ends`) each has weights of its own, and the curve is
their mean by the risk of dying. Sources: Kalbfleisch and Prentice, "The Statistical Analysis of Failure Time Data",
2002, chapter 3 (the log-logistic model); Larson and Dinse, "A mixture model for the regression analysis of competing
risks data", Applied Statistics 34, 1985.
"""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from medlstm.models.heads import median_of
from medlstm.models.linear import LinearMember
from medlstm.models.member import Prediction
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableRows

_PENALTY = 500.0
_MOST_ITERATIONS = 300
# A logistic variable's standard deviation is pi / sqrt(3) times its scale.
_SCALE_OF_SPREAD = 3**0.5 / np.pi


class AcceleratedFailureTime(LinearMember):
    """Weights on standardised features, and the scale of the error on the log scale; with two ends, those of stays that
    end in discharge, and the same again of those that end in death."""

    error_scale: Tensor
    death_weights: Tensor
    death_bias: Tensor
    death_scale: Tensor
    of_every_feature = (*LinearMember.of_every_feature, "death_weights")

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.register_buffer("error_scale", torch.ones(1, dtype=torch.float64))
        if spec.two_ends:
            self.register_buffer("death_weights", torch.zeros(0, dtype=torch.float64))
            self.register_buffer("death_bias", torch.zeros(1, dtype=torch.float64))
            self.register_buffer("death_scale", torch.ones(1, dtype=torch.float64))

    def fit_days(self, table: Tensor, rows: TableRows) -> None:
        if not self.spec.two_ends:
            self.weights, self.bias, self.error_scale = _fitted(table, rows, torch.ones_like(rows.days))
            return
        dead, discharged = self._shares_of_ends(table, rows.died)
        self.weights, self.bias, self.error_scale = _fitted(table, rows, discharged)
        self.death_weights, self.death_bias, self.death_scale = _fitted(table, rows, dead)

    def _shares_of_ends(self, table: Tensor, died: Tensor) -> tuple[Tensor, Tensor]:
        """By how much each row [n] counts among the stays that end in death, and among those that end in discharge: by
        its risk where that is not known, and fully in both where all known rows have the same end."""
        known = ~torch.isnan(died)
        risk = self.risk(table)
        if risk is None or len(torch.unique(died[known])) < 2:
            return torch.ones_like(died), torch.ones_like(died)
        dead = torch.where(known, died, risk)
        return dead, 1 - dead

    def predict_rows(self, features: Tensor) -> Prediction:
        table = self.standardised(features)
        survival = self._curve(table @ self.weights + self.bias, self.error_scale)
        risk = self.risk(table)
        if self.spec.two_ends and risk is not None:
            of_dying = self._curve(table @ self.death_weights + self.death_bias, self.death_scale)
            survival = survival + risk.unsqueeze(1) * (of_dying - survival)
        return Prediction(median_of(survival, self.spec.edges_days), survival, risk)

    def _curve(self, centre: Tensor, scale: Tensor) -> Tensor:
        edges = torch.log1p(torch.tensor(self.spec.edges_days, dtype=torch.float64, device=centre.device))
        survival = torch.sigmoid((centre.unsqueeze(1) - edges) / scale)
        return torch.cat([torch.ones_like(survival[:, :1]), survival[:, 1:]], dim=1)


def _fitted(table: Tensor, rows: TableRows, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [F], bias and scale of the error, each row [n] counting by its share."""
    counted = share > 0
    table, share, censored = table[counted], share[counted], rows.censored[counted]
    target = torch.log1p(rows.days[counted].double())
    mean = (share * target).sum() / share.sum()
    spread = ((share * (target - mean).square()).sum() / share.sum()).sqrt()
    start = np.zeros(table.shape[1] + 2)
    start[-2] = float(mean)
    start[-1] = np.log(max(float(spread) * _SCALE_OF_SPREAD, 1e-2))

    def loss_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.from_numpy(values).requires_grad_()
        weights, bias, log_scale = parameters[:-2], parameters[-2], parameters[-1]
        error = (target - table @ weights - bias) / log_scale.exp()
        ended = 2 * functional.softplus(error) - error + log_scale
        likelihood = (share * torch.where(censored, functional.softplus(error), ended)).sum()
        loss = likelihood + _PENALTY / 2 * weights.square().sum()
        loss.backward()
        assert parameters.grad is not None
        return float(loss.detach()), parameters.grad.numpy()

    with torch.enable_grad():
        found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_ITERATIONS})
    scale = torch.tensor([np.exp(found.x[-1])], dtype=torch.float64)
    return torch.from_numpy(found.x[:-2].copy()), torch.tensor([found.x[-2]], dtype=torch.float64), scale


def build(spec: ModelSpec) -> AcceleratedFailureTime:
    """A member that knows nothing yet."""
    return AcceleratedFailureTime(spec)
