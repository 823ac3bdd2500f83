"""Gradient boosting on summaries of the stay so far: scikit-learn's HistGradientBoosting on the same hazard.

Each row counts once per day bin that it reached, with the bin as a feature, and the label is whether the stay
ended in it; so censored rows count for as long as they are known. The sicker a patient, the later the discharge and the
sooner the death: where both ends are known (`two_ends`) each has trees of its own, and a bin's hazard is their sum.
Source: Prentice, Kalbfleisch, Peterson, Flournoy, Farewell and Breslow, "The analysis of failure times in the presence
of competing risks", Biometrics 34, 1978.
"""

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor
from torch.nn import functional

from medlstm.models.heads import median_of
from medlstm.models.member import Prediction
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import FEATURE_DECIMALS, TableMember, TableRows
from medlstm.models.trees import BoostedTrees, told_apart

_MAX_EXPANDED_ROWS = 80_000
_RESOLUTION = 10.0**-FEATURE_DECIMALS
# The logit of what does not happen, and what of a bin's stays goes on at least.
_NEVER = -40.0
_LEAST_GOING_ON = 1e-6
HAZARD_OPTIONS = {
    "learning_rate": 0.1, "max_iter": 90, "max_leaf_nodes": 12, "min_samples_leaf": 40, "l2_regularization": 5.0,
    "max_features": 0.3, "early_stopping": False,
}  # fmt: skip
DEATH_OPTIONS = HAZARD_OPTIONS | {"max_iter": 60, "max_leaf_nodes": 8}
RISK_OPTIONS = {
    "learning_rate": 0.04, "max_iter": 150, "max_leaf_nodes": 8, "min_samples_leaf": 30, "l2_regularization": 10.0,
    "max_features": 0.3, "early_stopping": False,
}  # fmt: skip


class GradientBoosting(TableMember):
    """Trees for the hazard of each bin (with two ends that of leaving alive, and others for that of dying in it), and
    trees for the risk of dying where that is trained."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.hazard = BoostedTrees()
        self.death_hazard = BoostedTrees() if spec.two_ends else None
        self.risk = BoostedTrees() if spec.mortality else None

    def fit_rows(self, rows: TableRows, seed: int) -> None:
        features = rows.features.numpy()
        kept = told_apart(features)
        row, bins, ended = expand(rows.days.numpy(), rows.censored.numpy(), np.array(self.spec.edges_days))
        if len(row) > _MAX_EXPANDED_ROWS:
            chosen = np.sort(np.random.default_rng(seed).choice(len(row), _MAX_EXPANDED_ROWS, replace=False))
            row, bins, ended = row[chosen], bins[chosen], ended[chosen]
        table, columns = np.column_stack([features[:, kept][row], bins]), np.append(kept, features.shape[1])
        if self.death_hazard is not None:
            # An end of which it is not known is taken for a discharge: it counts once.
            dies = ended & (rows.died.numpy()[row] == 1)
            ended = ended & ~dies
            _fit(self.death_hazard, table, dies, columns, DEATH_OPTIONS, seed)
        _fit(self.hazard, table, ended, columns, HAZARD_OPTIONS, seed)
        known = ~torch.isnan(rows.died).numpy()
        if self.risk is not None and len(np.unique(rows.died.numpy()[known])) == 2:
            risk = HistGradientBoostingClassifier(random_state=seed, **RISK_OPTIONS)
            risk.fit(features[:, kept][known], rows.died.numpy()[known])
            self.risk.take_over(risk, kept, _RESOLUTION)

    def predict_rows(self, features: Tensor) -> Prediction:
        bins = len(self.spec.edges_days) - 1
        places = torch.arange(bins, dtype=features.dtype, device=features.device)
        logits = self.hazard.at_each(features, places)
        going_on = -functional.softplus(logits)
        if self.death_hazard is not None:
            dying = torch.sigmoid(self.death_hazard.at_each(features, places))
            going_on = torch.log((torch.sigmoid(-logits) - dying).clamp(min=_LEAST_GOING_ON))
        survival = torch.exp(functional.pad(going_on.cumsum(dim=1), (1, 0)))
        risk = torch.sigmoid(self.risk(features)) if self.risk is not None else None
        return Prediction(median_of(survival, self.spec.edges_days), survival, risk)


def _fit(
    trees: BoostedTrees, table: np.ndarray, label: np.ndarray, columns: np.ndarray, options: dict[str, Any], seed: int
) -> None:
    """Fit trees for a label [n] of a table [n, F]; what no row has never happens."""
    if not label.any():
        trees.baseline.fill_(_NEVER)
        return
    model = HistGradientBoostingClassifier(random_state=seed, **options)
    model.fit(table, label)
    trees.take_over(model, columns, _RESOLUTION)


def expand(days: np.ndarray, censored: np.ndarray, edges_days: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, bin and whether the stay ended in it, for every bin that each of n rows is known to have gone through.

    The bin in which a row was censored counts where at least half of it was survived.
    """
    upper = edges_days[1:]
    last = np.searchsorted(upper, days, side="left")
    middle = (edges_days[:-1] + upper) / 2
    gone_through = np.where(censored, np.searchsorted(middle, days, side="right"), np.minimum(last + 1, len(upper)))
    row = np.repeat(np.arange(len(days)), gone_through)
    bins = np.arange(gone_through.sum()) - np.repeat(np.cumsum(gone_through) - gone_through, gone_through)
    ended = ~censored[row] & (bins == last[row])
    return row, bins, ended


def build(spec: ModelSpec) -> GradientBoosting:
    """A member with no trees yet."""
    return GradientBoosting(spec)
