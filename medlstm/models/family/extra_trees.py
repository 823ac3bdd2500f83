"""Extremely randomised trees on summaries of the stay so far, whose leaves hold the curve of what remains.

Each tree learns all points of the survival curve and the risk of dying at once. Of a censored row the days up to its
censoring are known, and the rest of its curve is that of all rows which went on for as long (Efron's redistribution to
the right). Sources: Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006; Efron, "The
two sample problem with censored data", 1967.
"""

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from medlstm.models.distribution import kaplan_meier
from medlstm.models.forest import Forest
from medlstm.models.heads import median_of
from medlstm.models.member import Prediction
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableMember, TableRows
from medlstm.models.trees import told_apart

_TREES = 30
_MAX_FEATURES = 0.3
_FEWEST_ROWS_IN_A_LEAF = 10
# Bounds the size of a file: a tree has some 400 leaves, however many rows there are.
_ROWS_PER_LEAF_IN = 800
# A risk differs less between rows than the points of a curve do, and would have no say in where trees are split.
_RISK_WEIGHT = 4.0
# In the place of what is not known: below what scaled values reach, and near enough for random splits to find both.
_MISSING = -5.0


class ExtraTrees(TableMember):
    """A forest with an output for each edge of the bins but the first, and one for the risk of dying where that is
    trained."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.forest = Forest()

    def fit_rows(self, rows: TableRows, seed: int) -> None:
        features = rows.features.numpy()
        kept = told_apart(features)
        wanted = curves(rows.days.numpy(), rows.censored.numpy(), np.array(self.spec.edges_days))[:, 1:]
        if self.spec.mortality:
            died = rows.died.numpy()
            known = ~np.isnan(died)
            usual = died[known].mean() if known.any() else 0.0
            wanted = np.column_stack([wanted, _RISK_WEIGHT * np.where(known, died, usual)])
        model = ExtraTreesRegressor(
            n_estimators=_TREES, max_features=_MAX_FEATURES, random_state=seed, n_jobs=1,
            min_samples_leaf=max(_FEWEST_ROWS_IN_A_LEAF, len(features) // _ROWS_PER_LEAF_IN),
        )  # fmt: skip
        model.fit(np.nan_to_num(features[:, kept], nan=_MISSING), wanted)
        self.forest.take_over(model, kept)

    def predict_rows(self, features: Tensor) -> Prediction:
        said = self.forest(torch.nan_to_num(features, nan=_MISSING))
        bins = len(self.spec.edges_days) - 1
        survival = torch.cat([torch.ones_like(said[:, :1]), said[:, :bins]], dim=1)
        risk = said[:, bins] / _RISK_WEIGHT if self.spec.mortality else None
        return Prediction(median_of(survival, self.spec.edges_days), survival, risk)


def curves(days: np.ndarray, censored: np.ndarray, edges_days: np.ndarray) -> np.ndarray:
    """The chance [n, E] that each stay goes on beyond each edge: 1 or 0 where that is known; beyond the days up to
    which a censored one is known, by the product-limit curve of all."""
    usual = kaplan_meier(days, censored, edges_days)
    still_in = np.interp(days, edges_days, usual)
    later = usual / np.maximum(still_in, 1e-9)[:, None]
    goes_on = days[:, None] > edges_days
    return np.where(goes_on, 1.0, np.where(censored[:, None], np.minimum(later, 1.0), 0.0))


def build(spec: ModelSpec) -> ExtraTrees:
    """A member with no trees yet."""
    return ExtraTrees(spec)
