"""Whether a newly trained model may replace the champion."""

from dataclasses import dataclass

from medlstm.training.fit_and_evaluate import Evaluation


@dataclass(frozen=True)
class GateDecision:
    """`note` says why, in words for the report; errors are MAE in days on stays that neither model has seen."""

    promoted: bool
    note: str


def decide(challenger: Evaluation, champion: Evaluation | None) -> GateDecision:
    """Compare both on the same stays of the test split, beside the constant median and the Kaplan-Meier baseline.

    Errors are the restricted ones, up to what is known of stays in a bed too: on ended stays alone whoever takes all
    for short ones would win. A first model is promoted with its shortcoming named, since the alternative is no
    prediction at all, and so is one that beats no baseline but the champion, which is further still from beating any.
    Raises ValueError for an evaluation without restricted errors.
    """
    shortcoming = unbeaten(challenger)
    beside = f"MAE {_error(challenger):.2f} days, {_baselines(challenger)}"
    if champion is None:
        verdict = f"first model, does NOT beat {shortcoming}" if shortcoming else "first model"
        return GateDecision(True, f"{verdict}: {beside}")
    against_champion = f"MAE {_error(challenger):.2f} days, the champion's {_error(champion):.2f}"
    if shortcoming and _error(challenger) >= _error(champion):
        return GateDecision(False, f"kept the champion: the challenger does not beat {shortcoming} ({beside})")
    if _error(challenger) > _error(champion):
        return GateDecision(False, f"kept the champion: {against_champion}")
    verdict = f"promoted over a worse champion, does NOT beat {shortcoming}" if shortcoming else "promoted"
    return GateDecision(True, f"{verdict}: {against_champion}, {_baselines(challenger)}")


def unbeaten(challenger: Evaluation) -> str:
    """The baseline that the challenger is not better than, in words; empty where it beats both."""
    median, baseline = challenger.restricted_median_mae_days, challenger.restricted_baseline_mae_days
    if median is not None and _error(challenger) >= median:
        return "the median"
    if baseline is not None and _error(challenger) >= baseline:
        return "the Kaplan-Meier baseline"
    return ""


def _error(one: Evaluation) -> float:
    if one.restricted_mae_days is None:
        raise ValueError("an evaluation without its error up to what is known cannot be compared")
    return one.restricted_mae_days


def _baselines(one: Evaluation) -> str:
    baseline = one.restricted_baseline_mae_days
    known = f", the Kaplan-Meier baseline's {baseline:.2f}" if baseline is not None else ""
    return f"the median's {one.restricted_median_mae_days:.2f}{known}, up to what is known of each stay"
