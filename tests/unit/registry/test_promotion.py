"""Which challengers replace a champion."""

from dataclasses import replace

import pytest

from medlstm.registry.promotion import Champion, decide
from medlstm.training.fit_and_evaluate import Evaluation

BEATS_BOTH = Evaluation(
    stays=100, points=400, mae_days=2.0, median_mae_days=3.0, coverage=0.9, restricted_mae_days=2.0,
    restricted_median_mae_days=3.0, restricted_baseline_mae_days=2.5,
)  # fmt: skip


def test_a_first_model_is_promoted_and_its_shortcoming_is_named():
    assert decide(BEATS_BOTH, None, 0.05).note.startswith("first model: MAE 2.00 days")
    beside_median = decide(replace(BEATS_BOTH, restricted_mae_days=9.0), None, 0.05)
    assert beside_median.promoted
    assert "NOT beat the median" in beside_median.note
    assert "NOT beat the Kaplan-Meier baseline" in decide(replace(BEATS_BOTH, restricted_mae_days=2.7), None, 0.05).note


@pytest.mark.parametrize(
    ("worse_by", "lower", "promoted"),
    [
        (-0.30, -0.40, True),
        (0.09, -0.10, True),  # a tie that the stays cannot tell
        (0.11, -0.10, False),  # beyond the margin of 5 % of 2 days
        (0.09, 0.01, False),  # small, but for certain
    ],
)
def test_a_tie_goes_to_the_challenger(worse_by, lower, promoted):
    champion = replace(BEATS_BOTH, restricted_mae_days=2.0)
    challenger = replace(BEATS_BOTH, restricted_mae_days=2.0 + worse_by)
    decision = decide(challenger, Champion(champion, worse_by, lower, worse_by + 0.3), 0.05)
    assert decision.promoted is promoted
    assert decision.note.startswith("promoted: " if promoted else "kept the champion: ")
    assert f"({worse_by:+.2f}, 95 % bounds {lower:+.2f} to {worse_by + 0.3:+.2f})" in decision.note


def test_without_a_margin_no_worse_challenger_is_promoted():
    challenger = replace(BEATS_BOTH, restricted_mae_days=2.01)
    assert not decide(challenger, Champion(BEATS_BOTH, 0.01, -0.2, 0.2), 0.0).promoted


def test_a_challenger_that_beats_no_baseline_must_beat_the_champion():
    challenger = replace(BEATS_BOTH, restricted_mae_days=2.7)
    tied = Champion(replace(BEATS_BOTH, restricted_mae_days=2.7), 0.0, -0.1, 0.1)
    worse = Champion(replace(BEATS_BOTH, restricted_mae_days=2.9), -0.2, -0.3, 0.1)
    assert not decide(challenger, tied, 0.05).promoted
    better = decide(challenger, worse, 0.05)
    assert better.promoted
    assert "promoted over a worse champion, does NOT beat the Kaplan-Meier baseline" in better.note


def test_an_evaluation_without_restricted_errors_is_refused():
    with pytest.raises(ValueError, match="without its error up to what is known"):
        decide(replace(BEATS_BOTH, restricted_mae_days=None), None, 0.05)
