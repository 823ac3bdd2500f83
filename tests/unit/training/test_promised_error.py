"""The promise of several tenths of the stays: each counts once, and open ones at what the model expects."""

import numpy as np
import pandas as pd
import pytest

from medlstm.models.distribution import RemainingStay
from medlstm.models.predict import Predictions
from medlstm.training.out_of_fold import OutOfFold
from medlstm.training.promised_error import unseen_errors, with_out_of_fold

EDGES = np.array([0.0, 2.0, 4.0])


def answers(days: list[float]) -> Predictions:
    """All of them say: the end comes evenly within four days."""
    return Predictions(np.array(days), RemainingStay(EDGES, 0.0, np.tile([1.0, 0.5, 0.0], (len(days), 1))), None)


def window(days: list[float], actual: list[float], stay: list[int], censored: list[bool]) -> OutOfFold:
    m = len(days)
    return OutOfFold(answers(days), np.array(actual), np.zeros(m), np.full(m, np.nan), np.array(stay),
                     pd.DataFrame(index=range(m)), np.array(censored))  # fmt: skip


def test_an_open_stay_counts_at_the_error_that_its_model_expects() -> None:
    found = unseen_errors(answers([2.0, 2.0]), np.array([3.0, 2.0]), np.array([True, False]), np.array([0, 1]))
    # After two days the end lies evenly in the next two, and the prediction was for right now: a day off, on average.
    assert found.errors.tolist() == pytest.approx([1.0, 1.0])
    assert found.ended_within()[:3] == (None, None, 1.0)


def test_stays_of_every_member_are_added_and_drawn_as_stays_of_their_own() -> None:
    test = unseen_errors(answers([1.0, 1.0]), np.array([1.0, 1.0]), np.array([True, True]), np.array([0, 0]))
    first = window([1.0, 1.0], [2.0, 2.0], [0, 1], [False, False])
    second = window([1.0, 1.0], [4.0, 4.0], [0, 0], [False, False])
    found = with_out_of_fold(test, (first, second))
    assert found.errors.tolist() == [0, 0, 1, 1, 3, 3]
    assert len(np.unique(found.stay)) == 4
    mean, (low, high) = found.promised()
    assert mean == pytest.approx(8 / 6)
    # With four stays drawn anew now one, now three of the four are the bad one.
    assert low < 0.5
    assert high > 2.4
    assert found.ended_within()[:2] == (0.0, 0.5)


def test_a_model_that_gives_no_distribution_promises_only_what_has_ended() -> None:
    points = Predictions(np.array([1.0, 1.0]), None, None)
    found = unseen_errors(points, np.array([2.0, 5.0]), np.array([True, False]), np.array([0, 1]))
    assert found.promised() == (None, None)
    assert found.ended_within()[1] == 1.0
    ended = unseen_errors(points, np.array([2.0, 5.0]), np.array([True, True]), np.array([0, 1]))
    assert ended.promised()[0] == 2.5
