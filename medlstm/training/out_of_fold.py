"""What members say of stays that they did not train on, and what their intervals learn from it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from medlstm.evaluation.conformal_intervals import GroupWidening, group_widenings, interval_scores
from medlstm.models.ensemble import Ensemble
from medlstm.models.predict import Predictions, predict
from medlstm.sequences.batches import died
from medlstm.sequences.nightly_points import elapsed_days
from medlstm.training.fit_member import MemberStays, is_known
from medlstm.training.known_points import groups_at, within_horizon


@dataclass(frozen=True)
class OutOfFold:
    """One member's predictions for the stays that it stopped on and did not train on; `stay` [m] numbers them within
    the member's, `groups` [m] as of `group_labels`, `died` [m] is 1 or 0, NaN where it is not known. Of those that are
    `censored` [m] the actual days are known to be no fewer."""

    predictions: Predictions
    actual_days: np.ndarray
    elapsed_days: np.ndarray
    died: np.ndarray
    stay: np.ndarray
    groups: pd.DataFrame
    censored: np.ndarray


def predicted_out_of_fold(member: Ensemble, stays: MemberStays) -> OutOfFold:
    sequences = stays.validation.sequences
    points = stays.validation_points
    return OutOfFold(
        predictions=predict(member, stays.validation, points, torch.device("cpu")),
        actual_days=within_horizon(points.remaining_days, member.spec),
        elapsed_days=elapsed_days(sequences, points),
        died=died(sequences.stays)[points.stay],
        stay=points.stay,
        groups=groups_at(points, sequences, member.spec),
        censored=~is_known(points, sequences, member.spec.horizon_days),
    )


def widenings_of(out_of_fold: tuple[OutOfFold, ...], coverage: float) -> tuple[GroupWidening, ...]:
    """From every window's stays, which are different ones in each."""
    if not out_of_fold:
        return ()
    scores = np.concatenate([interval_scores(one.predictions, one.actual_days) for one in out_of_fold])
    firsts = np.cumsum([0, *(one.stay.max() + 1 for one in out_of_fold[:-1])])
    stay = np.concatenate([first + one.stay for first, one in zip(firsts, out_of_fold, strict=True)])
    groups = pd.concat([one.groups for one in out_of_fold], ignore_index=True)
    censored = np.concatenate([one.censored for one in out_of_fold])
    return group_widenings(scores, groups, stay, coverage, censored)
