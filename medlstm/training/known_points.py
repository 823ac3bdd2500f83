"""The stays of a split, and the moments of them whose outcome is known."""

import numpy as np
import pandas as pd

from medlstm.errors import ModelUnavailable
from medlstm.evaluation.subgroups import group_labels
from medlstm.models.spec import ModelSpec
from medlstm.sequences.nightly_points import NightlyPoints
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.training.fit_member import is_known


def split_of(sequences: StaySequences, name: str) -> StaySequences:
    """The stays of one split."""
    return sequences.select((sequences.stays["split"] == name).to_numpy())


def points_known(
    points: NightlyPoints, sequences: StaySequences, horizon_days: float | None = None
) -> NightlyPoints:
    """The points whose remaining days are known: those of discharged stays and, with a horizon, those of open stays
    that went on beyond it (left out, the longest stays would be missing). Raises ModelUnavailable where there is none.
    """
    known = is_known(points, sequences, horizon_days)
    if not known.any():
        raise ModelUnavailable("no discharged stay of a split lasted over a night: wait for more nights")
    return NightlyPoints(points.stay[known], points.step[known], points.remaining_days[known])


def groups_at(points: NightlyPoints, sequences: StaySequences, spec: ModelSpec) -> pd.DataFrame:
    """The groups of the stay of each point [m]; see `group_labels`."""
    return group_labels(sequences.stays, spec.categories, spec.numeric).iloc[points.stay].reset_index(drop=True)


def within_horizon(days: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Days [n] as the model is meant to tell them: no longer than its horizon."""
    return days if spec.horizon_days is None else np.minimum(days, spec.horizon_days)
