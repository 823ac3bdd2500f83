"""Every model and baseline on the same split of one night's stays."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.evaluation.metrics import (
    interval_coverage,
    interval_width,
    los_kappa,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_log_error,
    paired_bootstrap,
    r_squared,
    root_mean_squared_error,
)
from medlstm.models.predict import Predictions, predict
from medlstm.sequences.batches import NightlyPoints, arrange, elapsed_days, followed_up, nightly_points
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.model_names import BLEND_PARTS, model_names
from medlstm.settings.workspace import Config
from medlstm.training.devices import choose_device
from medlstm.training.fit_ensemble import FittedModel, fit_blend, fit_model
from medlstm.training.known_points import groups_at, points_known, split_of, within_horizon

REFERENCE = "gbm"


@dataclass(frozen=True)
class ModelScores:
    """One model on the test stays; errors in days at the nightly points.

    MAE, MSLE, MAPE and kappa are of the point prediction, RMSE and R2 of the mean of the distribution. `difference`
    is the MAE less that of gradient boosting, with 95 % bounds of a bootstrap over stays (below 0: better).
    """

    name: str
    mae_days: float
    rmse_days: float
    msle: float
    mape: float
    r2: float
    kappa: float
    coverage: float
    width_days: float
    seconds_train: float
    seconds_score: float
    difference_days: float
    difference_lower_days: float
    difference_upper_days: float


@dataclass(frozen=True)
class Comparison:
    """All models on the same stays, best MAE first."""

    as_of: date
    training_stays: int
    test_stays: int
    test_points: int
    interval_coverage: float
    members: int
    models: tuple[ModelScores, ...]


@dataclass(frozen=True)
class _Judged:
    """A fitted model with what it says at the test points."""

    model: FittedModel
    predictions: Predictions
    actual: np.ndarray
    elapsed: np.ndarray
    groups: pd.DataFrame
    seconds: float


def compare_models(
    sequences: StaySequences,
    config: Config,
    as_of: date,
    cutoff: datetime,
    names: Sequence[str] | None = None,
    on_model: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Fit every named model (all by default; gradient boosting is always among them) with the workspace's settings on
    the same train, validation and calibration stays, and judge them on the same test stays.

    `on_model(done, total)` is called after each. Raises ModelUnavailable with too few discharged stays.
    """
    chosen = _in_order(names or model_names())
    sequences = followed_up(sequences, cutoff)
    test = split_of(sequences, "test")
    if test.stays["is_open"].all():
        raise ModelUnavailable("no discharged stay fell into the split test: wait for more nights")
    asked = points_known(nightly_points(test, cutoff), test)
    fitted: dict[str, FittedModel] = {}
    judged: dict[str, _Judged] = {}
    for done, name in enumerate(chosen, start=1):
        fitted[name] = _fit(name, fitted, sequences, config, cutoff)
        judged[name] = _judge(fitted[name], test, asked, config)
        if on_model:
            on_model(done, len(chosen))
    reference = _errors(judged[REFERENCE])
    scores = [_scores(name, one, reference, asked.stay) for name, one in judged.items()]
    return Comparison(
        as_of=as_of,
        training_stays=fitted[REFERENCE].training_stays,
        test_stays=len(np.unique(asked.stay)),
        test_points=len(asked.stay),
        interval_coverage=config.scoring.interval_coverage,
        members=fitted[REFERENCE].spec.members,
        models=tuple(sorted(scores, key=lambda one: (one.mae_days, one.name))),
    )


def _in_order(names: Sequence[str]) -> list[str]:
    """Gradient boosting first, and what a blend is made of before the blend."""
    unknown = sorted(set(names) - set(model_names()))
    if unknown:
        raise MedlstmError(f"models {', '.join(unknown)}: known are {', '.join(model_names())}")
    wanted = {REFERENCE, *names} | (set(BLEND_PARTS) if "blend" in names else set())
    return [REFERENCE, *sorted(wanted - {REFERENCE, "blend"}), *(["blend"] if "blend" in wanted else [])]


def _fit(
    name: str, fitted: dict[str, FittedModel], sequences: StaySequences, config: Config, cutoff: datetime
) -> FittedModel:
    own = config.model_copy(update={"model": config.model.model_copy(update={"name": name})})

    def points_of(stays: StaySequences) -> NightlyPoints:
        return nightly_points(stays, cutoff)

    if name == "blend":
        return fit_blend(fitted, sequences, points_of, own)
    return fit_model(sequences, points_of, own)


def _judge(model: FittedModel, test: StaySequences, asked: NightlyPoints, config: Config) -> _Judged:
    started = time.monotonic()
    predictions = predict(model.network, arrange(test, model.spec), asked, choose_device(config.training.device))
    seconds = time.monotonic() - started
    actual = within_horizon(asked.remaining_days, model.spec)
    groups = groups_at(asked, test, model.spec)
    return _Judged(model, predictions, actual, elapsed_days(test, asked), groups, seconds)


def _errors(judged: _Judged) -> np.ndarray:
    return np.abs(judged.predictions.days - judged.actual)


def _scores(name: str, judged: _Judged, reference: np.ndarray, stay: np.ndarray) -> ModelScores:
    days, mean, actual = judged.predictions.days, judged.predictions.mean_days(), judged.actual
    lower, upper = judged.model.interval.bounds(judged.predictions, judged.elapsed, judged.groups)
    difference = paired_bootstrap(_errors(judged), reference, stay)
    return ModelScores(
        name=name,
        mae_days=mean_absolute_error(days, actual),
        rmse_days=root_mean_squared_error(mean, actual),
        msle=mean_squared_log_error(days, actual),
        mape=mean_absolute_percentage_error(days, actual),
        r2=r_squared(mean, actual),
        kappa=los_kappa(days, actual),
        coverage=interval_coverage(lower, upper, actual),
        width_days=interval_width(lower, upper),
        seconds_train=round(judged.model.seconds, 3),
        seconds_score=round(judged.seconds, 3),
        difference_days=difference[0],
        difference_lower_days=difference[1],
        difference_upper_days=difference[2],
    )
