"""How far a mean of several distributions is moved away from the usual one: told by stays that none was fitted on."""

import numpy as np
import torch

from medlstm.models.distribution import RemainingStay
from medlstm.models.ensemble import sharpened

_CANDIDATES = np.round(np.arange(0.8, 1.61, 0.05), 2)
_STAYS_FOR_HALF = 100
# What scored best inside PhysioNet's set A, over four folds of it (docs/accuracy.md): the mean of several kinds of
# model is flatter than that of one kind. It takes many stays to say otherwise.
_USUAL_OF_BLENDS = 1.2
_STAYS_FOR_HALF_OF_BLENDS = 1_000


def fit_sharpness(
    remaining: RemainingStay,
    usual: np.ndarray,
    days: np.ndarray,
    followup_days: np.ndarray,
    stay: np.ndarray,
    is_blend: bool = False,
) -> float:
    """The sharpness whose distributions score best on stays that the mean of members was not fitted on.

    Of m points: what remains unsharpened, the days that do (of a censored one, that are known to), the days up to which
    that is known, and which stay each is of; `usual` [E] as in `sharpened`. The score is the ranked probability score
    on log(1 + days), of each point up to its follow-up. What few stays say is drawn towards 1 as if a hundred others
    had said that; a blend's towards 1.2 as if a thousand had.
    """
    edges = remaining.edges_days
    truth, known = _ended_at_edges(edges, days, followup_days)
    width = np.diff(np.log1p(edges))
    survival, base = torch.from_numpy(remaining.survival), torch.from_numpy(usual)
    scores = []
    for candidate in _CANDIDATES:
        ended = 1 - sharpened(survival, base, float(candidate)).numpy()
        middle = (ended[:, 1:] + ended[:, :-1]) / 2
        scores.append(float((known * width * np.square(middle - truth)).sum()))
    best = float(_CANDIDATES[int(np.argmin(scores))])
    stays = len(np.unique(stay))
    expected, others = (_USUAL_OF_BLENDS, _STAYS_FOR_HALF_OF_BLENDS) if is_blend else (1.0, _STAYS_FOR_HALF)
    return round((stays * best + others * expected) / (stays + others), 3)


def _ended_at_edges(edges: np.ndarray, days: np.ndarray, followup_days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per bin [m, E - 1] the share of it by which the stay had ended, and whether that is known."""
    lower, upper = edges[:-1], edges[1:]
    survived = np.clip((days[:, None] - lower) / (upper - lower), 0.0, 1.0)
    return 1 - survived, followup_days[:, None] >= upper
