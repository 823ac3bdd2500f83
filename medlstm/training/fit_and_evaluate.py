"""Train a model, and judge it on stays that nothing was fitted on."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import torch

from medlstm.errors import ModelUnavailable
from medlstm.evaluation.baseline import KaplanMeierBaseline
from medlstm.evaluation.conformal_intervals import Interval
from medlstm.evaluation.day_errors import DayErrors
from medlstm.evaluation.metrics import mean_absolute_error
from medlstm.evaluation.subgroups import SubgroupScore, score_subgroups
from medlstm.models.predict import Predictions, predict
from medlstm.models.spec import ModelSpec
from medlstm.sequences.batches import arrange
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days, followed_up, nightly_points
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import Config
from medlstm.training.fit_ensemble import FittedModel, fit_model
from medlstm.training.fit_member import is_known, targets
from medlstm.training.known_points import groups_at, points_known, split_of, within_horizon
from medlstm.training.leak_finder import Leak, find_leaks
from medlstm.training.out_of_fold import OutOfFold
from medlstm.training.promised_error import unseen_errors, with_out_of_fold
from medlstm.training.train_loop import Progress


@dataclass(frozen=True)
class Evaluation:
    """Errors at the nightly points of discharged stays that no weight was fitted on, beside those of the constant
    median and of the Kaplan-Meier baseline; `subgroups` of the test stays.

    Stays that have ended are short ones. The `restricted` errors are of the nights of all test stays, open ones too,
    with what is predicted and what became of it cut at the time of the training (`Targets.restricted_error`): what
    models are compared by. `promised_mae_days` is what nights to come are promised, with its bounds; like
    `mae_days_ended_within` it is of the test stays and, in a model's record, of those that a member did not train on
    (`UnseenErrors`).
    """

    stays: int
    points: int
    mae_days: float
    median_mae_days: float
    coverage: float
    baseline_mae_days: float | None = None
    promised_mae_days: float | None = None
    promised_bounds_days: tuple[float, float] | None = None
    mae_days_ended_within: tuple[float | None, ...] = ()
    restricted_mae_days: float | None = None
    restricted_median_mae_days: float | None = None
    restricted_baseline_mae_days: float | None = None
    subgroups: tuple[SubgroupScore, ...] = ()

    def mae_days_of_those_ended_within(self, days: int) -> float:
        """The error where at most so many days remained: what a night so long ago can be held against now. That of all,
        where no test stay tells or the days are more than were looked at."""
        told = self.mae_days_ended_within
        error = told[days - 1] if 1 <= days <= len(told) else None
        return self.mae_days if error is None else error


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model and how it did: `validation` judges each member on the stays that it stopped on, `test` the whole
    on `test_stays` at `test_points`, where it gave `test_answers` on the CPU and a saved model must give them again.
    `leaks` are the inputs that showed signs of being written down at the discharge."""

    fitted: FittedModel
    validation: Evaluation
    test: Evaluation
    test_stays: StaySequences
    test_points: NightlyPoints
    test_answers: Predictions
    leaks: tuple[Leak, ...] = ()


def train_model(
    sequences: StaySequences, config: Config, cutoff: datetime, on_epoch: Progress | None = None
) -> TrainedModel:
    """Fit on the train and validation splits (open stays as censored), calibrate and test on their own splits.

    `on_epoch(loss, sizes)` is called after each epoch. Raises ModelUnavailable with too few discharged stays, or with
    an input that tells of the discharge where `features.leak_action` is stop, and MedlstmError when the loss is not
    finite.
    """
    sequences = followed_up(sequences, cutoff)
    leaks = _leaks(sequences, config, cutoff)
    if leaks and config.features.leak_action == "stop":
        told = "; ".join(str(one) for one in leaks)
        raise ModelUnavailable(f"{told} (features.leak_action = stop)")
    if config.features.leak_action == "drop":
        sequences, config = _without(sequences, config, {one.name for one in leaks})
    test = split_of(sequences, "test")
    if test.stays["is_open"].all():
        raise ModelUnavailable("no discharged stay fell into the split test: wait for more nights")
    fitted = fit_model(sequences, lambda stays: nightly_points(stays, cutoff), config, on_epoch)
    test = split_of(sequences, "test")
    return replace(judge_model(fitted, test, nightly_points(test, cutoff)), leaks=leaks)


def _leaks(sequences: StaySequences, config: Config, cutoff: datetime) -> tuple[Leak, ...]:
    """In the stays that a model may be fitted on."""
    pool = sequences.select(sequences.stays["split"].isin(["train", "validation"]).to_numpy())
    statics = [*config.features.numeric, *config.features.categorical]
    return find_leaks(pool, nightly_points(pool, cutoff), statics, pool.variables)


def _without(sequences: StaySequences, config: Config, names: set[str]) -> tuple[StaySequences, Config]:
    kept = {kind: [name for name in getattr(config.features, kind) if name not in names]
            for kind in ("numeric", "categorical", "variables")}  # fmt: skip
    features = config.features.model_copy(update=kept)
    variables = [name for name in sequences.variables if name not in names]
    return sequences.with_variables(variables), config.model_copy(update={"features": features})


def judge_model(fitted: FittedModel, test: StaySequences, points: NightlyPoints) -> TrainedModel:
    """How a fitted model does at the points of stays that nothing was fitted on, open ones included.

    Raises ModelUnavailable where none of the points is of a stay that has ended.
    """
    answers = predict(fitted.network, arrange(test, fitted.spec), points, torch.device("cpu"))
    tested = evaluate(
        answers, fitted.spec, fitted.interval, fitted.baseline_median_days, fitted.baseline, test, points
    )
    known = is_known(points, test, fitted.spec.horizon_days)
    on_test = unseen_errors(answers, targets(test, points, fitted.spec).days, known, points.stay)
    unseen = with_out_of_fold(on_test, fitted.out_of_fold)
    promised, bounds = unseen.promised()
    tested = replace(tested, promised_mae_days=promised, promised_bounds_days=bounds,
                     mae_days_ended_within=unseen.ended_within())  # fmt: skip
    return TrainedModel(fitted, _judge_out_of_fold(fitted), tested, test, points, answers)


def evaluate(
    answers: Predictions,
    spec: ModelSpec,
    interval: Interval,
    baseline_median_days: float,
    baseline: KaplanMeierBaseline | None,
    test: StaySequences,
    points: NightlyPoints,
) -> Evaluation:
    """MAE in days of the answers at the points beside the constant median's and the baseline's, and the coverage of the
    intervals, where the remaining days are known and in groups of the stays; and what is promised, from all points."""
    wanted, elapsed = targets(test, points, spec), elapsed_days(test, points)
    known = is_known(points, test, spec.horizon_days)
    unseen = unseen_errors(answers, wanted.days, known, points.stay)
    promised, promised_bounds = unseen.promised()
    usual = None
    if baseline is not None:
        usual = within_horizon(baseline.remaining(test.stays.iloc[points.stay], elapsed).median(), spec)
    points, elapsed = points_known(points, test, spec.horizon_days), elapsed[known]
    predicted, actual, groups = answers.at(known), wanted.days[known], groups_at(points, test, spec)
    errors = DayErrors(predicted.days, *interval.bounds(predicted, elapsed, groups), actual)
    whole = _evaluation(errors, points.stay, baseline_median_days)
    constant = np.full(len(answers.days), baseline_median_days)
    return replace(
        whole,
        promised_mae_days=promised,
        promised_bounds_days=promised_bounds,
        mae_days_ended_within=unseen.ended_within(),
        restricted_mae_days=float(wanted.restricted_error(answers.days).mean()),
        restricted_median_mae_days=float(wanted.restricted_error(constant).mean()),
        restricted_baseline_mae_days=None if usual is None else float(wanted.restricted_error(usual).mean()),
        baseline_mae_days=None if usual is None else mean_absolute_error(usual[known], actual),
        subgroups=score_subgroups(groups, points.stay, elapsed, errors.absolute, errors.held),
    )


def _judge_out_of_fold(fitted: FittedModel) -> Evaluation:
    """Every window's stays, each predicted by the member that did not train on them."""
    judged = [_judge_window(fitted, one) for one in fitted.out_of_fold if not one.censored.all()]
    weights = [one.points for one in judged]
    return Evaluation(
        stays=sum(one.stays for one in judged),
        points=sum(weights),
        mae_days=float(np.average([one.mae_days for one in judged], weights=weights)),
        median_mae_days=float(np.average([one.median_mae_days for one in judged], weights=weights)),
        coverage=float(np.average([one.coverage for one in judged], weights=weights)),
    )


def _judge_window(fitted: FittedModel, one: OutOfFold) -> Evaluation:
    known = ~one.censored
    predicted = one.predictions.at(known)
    bounds = fitted.interval.bounds(predicted, one.elapsed_days[known], one.groups.iloc[known])
    errors = DayErrors(predicted.days, *bounds, one.actual_days[known])
    return _evaluation(errors, one.stay[known], fitted.baseline_median_days)


def _evaluation(errors: DayErrors, stay: np.ndarray, median: float) -> Evaluation:
    return Evaluation(
        stays=len(np.unique(stay)),
        points=len(errors.actual),
        mae_days=errors.mae_days,
        median_mae_days=mean_absolute_error(np.full_like(errors.actual, median), errors.actual),
        coverage=errors.coverage,
    )
