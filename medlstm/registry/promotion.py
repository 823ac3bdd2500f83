"""Whether a newly trained model may replace the champion."""

from dataclasses import dataclass

from medlstm.training.fit_and_evaluate import Evaluation


@dataclass(frozen=True)
class GateDecision:
    """`note` says why, in words for the report; errors are MAE in days on stays that neither model has seen."""

    promoted: bool
    note: str


@dataclass(frozen=True)
class Champion:
    """How the champion did on the challenger's test stays, and by how many days the challenger is worse there, with
    95 % bounds of a bootstrap over stays."""

    test: Evaluation
    challenger_worse_by_days: float
    lower_days: float
    upper_days: float


def decide(challenger: Evaluation, champion: Champion | None, margin_share: float) -> GateDecision:
    """Compare both on the same stays of the test split, beside the constant median and the Kaplan-Meier baseline.

    The champion is kept where the challenger is worse by more than `margin_share` of its error, or where even the lower
    bound of the difference says that it is worse. A tie goes to the challenger: it has learnt from more and from newer
    stays, and a hundred test stays cannot tell a tenth of a day.

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
    if shortcoming and champion.challenger_worse_by_days >= 0:
        return GateDecision(False, f"kept the champion: the challenger does not beat {shortcoming} ({beside})")
    if _is_worse(champion, margin_share):
        return GateDecision(False, f"kept the champion: {_against(challenger, champion)}")
    verdict = f"promoted over a worse champion, does NOT beat {shortcoming}" if shortcoming else "promoted"
    return GateDecision(True, f"{verdict}: {_against(challenger, champion)}, {_baselines(challenger)}")


def _is_worse(champion: Champion, margin_share: float) -> bool:
    beyond_margin = champion.challenger_worse_by_days > margin_share * _error(champion.test)
    return beyond_margin or champion.lower_days > 0


def _against(challenger: Evaluation, champion: Champion) -> str:
    difference = f"{champion.challenger_worse_by_days:+.2f}, 95 % bounds {champion.lower_days:+.2f} to"
    return (
        f"MAE {_error(challenger):.2f} days, the champion's {_error(champion.test):.2f} "
        f"({difference} {champion.upper_days:+.2f})"
    )


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
