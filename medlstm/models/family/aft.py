"""Accelerated failure time: log(1 + days) is a weighted sum of summaries of the stay so far plus a logistic error.

Censored rows count by the chance that the stay goes on for longer than is known. Source: Kalbfleisch and Prentice, "The
Statistical Analysis of Failure Time Data", 2002, chapter 3 (the log-logistic model).
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

_PENALTY = 500.0
_MOST_ITERATIONS = 300
# A logistic variable's standard deviation is pi / sqrt(3) times its scale.
_SCALE_OF_SPREAD = 3**0.5 / np.pi


class AcceleratedFailureTime(LinearMember):
    """Weights on standardised features, and the scale of the error on the log scale."""

    error_scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.register_buffer("error_scale", torch.ones(1, dtype=torch.float64))

    def fit_days(self, table: Tensor, days: Tensor, censored: Tensor) -> None:
        target = torch.log1p(days.double())
        start = np.zeros(table.shape[1] + 2)
        start[-2] = float(target.mean())
        start[-1] = np.log(max(float(target.std(correction=0)) * _SCALE_OF_SPREAD, 1e-2))

        def loss_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
            parameters = torch.from_numpy(values).requires_grad_()
            weights, bias, log_scale = parameters[:-2], parameters[-2], parameters[-1]
            error = (target - table @ weights - bias) / log_scale.exp()
            ended = 2 * functional.softplus(error) - error + log_scale
            likelihood = torch.where(censored, functional.softplus(error), ended).sum()
            loss = likelihood + _PENALTY / 2 * weights.square().sum()
            loss.backward()
            assert parameters.grad is not None
            return float(loss.detach()), parameters.grad.numpy()

        with torch.enable_grad():
            found = minimize(
                loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_ITERATIONS}
            )
        self.weights = torch.from_numpy(found.x[:-2].copy())
        self.bias = torch.tensor([found.x[-2]], dtype=torch.float64)
        self.error_scale = torch.tensor([np.exp(found.x[-1])], dtype=torch.float64)

    def predict_rows(self, features: Tensor) -> Prediction:
        table = self.standardised(features)
        centre = table @ self.weights + self.bias
        edges = torch.log1p(torch.tensor(self.spec.edges_days, dtype=torch.float64, device=features.device))
        survival = torch.sigmoid((centre.unsqueeze(1) - edges) / self.error_scale)
        survival = torch.cat([torch.ones_like(survival[:, :1]), survival[:, 1:]], dim=1)
        return Prediction(median_of(survival, self.spec.edges_days), survival, self.risk(table))


def build(spec: ModelSpec) -> AcceleratedFailureTime:
    """A member that knows nothing yet."""
    return AcceleratedFailureTime(spec)
