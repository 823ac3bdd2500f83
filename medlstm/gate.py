"""Whether a newly trained model may replace the champion."""

from dataclasses import dataclass

from medlstm.training import Evaluation


@dataclass(frozen=True)
class GateDecision:
    """`note` says why, in words for the report; errors are MAE in days on stays that neither model has seen."""

    promoted: bool
    note: str


def decide(challenger: Evaluation, champion: Evaluation | None) -> GateDecision:
    """Compare both on the same stays of the test split.

    A first model is promoted with its shortcoming named, since the alternative is no prediction at all.
    """
    beats_median = challenger.mae_days < challenger.median_mae_days
    against_median = f"MAE {challenger.mae_days:.2f} days, the median's {challenger.median_mae_days:.2f}"
    if champion is None:
        verdict = "first model" if beats_median else "first model, does NOT beat the median"
        return GateDecision(True, f"{verdict}: {against_median}")
    if not beats_median:
        return GateDecision(False, f"kept the champion: the challenger does not beat the median ({against_median})")
    against_champion = f"MAE {challenger.mae_days:.2f} days, the champion's {champion.mae_days:.2f}"
    if challenger.mae_days > champion.mae_days:
        return GateDecision(False, f"kept the champion: {against_champion}")
    return GateDecision(True, f"promoted: {against_champion}, the median's {challenger.median_mae_days:.2f}")
