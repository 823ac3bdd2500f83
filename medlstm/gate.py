"""Whether a newly trained model may replace the champion."""

from dataclasses import dataclass

from medlstm.training import Evaluation


@dataclass(frozen=True)
class GateDecision:
    """`note` says why, in words for the report; errors are MAE in days on stays that neither model has seen."""

    promoted: bool
    note: str


def decide(challenger: Evaluation, champion: Evaluation | None) -> GateDecision:
    """Compare both on the same stays of the test split, beside the constant median and the Kaplan-Meier baseline.

    A first model is promoted with its shortcoming named, since the alternative is no prediction at all.
    """
    unbeaten = _unbeaten(challenger)
    beside = f"MAE {challenger.mae_days:.2f} days, {_baselines(challenger)}"
    if champion is None:
        verdict = f"first model, does NOT beat {unbeaten}" if unbeaten else "first model"
        return GateDecision(True, f"{verdict}: {beside}")
    if unbeaten:
        return GateDecision(False, f"kept the champion: the challenger does not beat {unbeaten} ({beside})")
    against_champion = f"MAE {challenger.mae_days:.2f} days, the champion's {champion.mae_days:.2f}"
    if challenger.mae_days > champion.mae_days:
        return GateDecision(False, f"kept the champion: {against_champion}")
    return GateDecision(True, f"promoted: {against_champion}, {_baselines(challenger)}")


def _unbeaten(challenger: Evaluation) -> str:
    """The baseline that the challenger is not better than, in words; empty where it beats both."""
    if challenger.mae_days >= challenger.median_mae_days:
        return "the median"
    if challenger.baseline_mae_days is not None and challenger.mae_days >= challenger.baseline_mae_days:
        return "the Kaplan-Meier baseline"
    return ""


def _baselines(one: Evaluation) -> str:
    known = f", the Kaplan-Meier baseline's {one.baseline_mae_days:.2f}" if one.baseline_mae_days is not None else ""
    return f"the median's {one.median_mae_days:.2f}{known}"
