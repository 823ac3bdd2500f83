"""Every model and baseline on the same split of one night's stays."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.evaluation.day_errors import DayErrors
from medlstm.evaluation.metrics import paired_bootstrap
from medlstm.models.predict import predict
from medlstm.sequences.batches import arrange
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days, followed_up, nightly_points
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
    errors: DayErrors
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

    `on_model(done, total)` is called before the first and after each. Raises ModelUnavailable with too few discharged
    stays.
    """
    chosen = _in_order(names or model_names())
    sequences = followed_up(sequences, cutoff)
    test = split_of(sequences, "test")
    if test.stays["is_open"].all():
        raise ModelUnavailable("no discharged stay fell into the split test: wait for more nights")
    asked = points_known(nightly_points(test, cutoff), test)
    fitted: dict[str, FittedModel] = {}
    judged: dict[str, _Judged] = {}
    if on_model:
        on_model(0, len(chosen))
    for done, name in enumerate(chosen, start=1):
        fitted[name] = _fit(name, fitted, sequences, config, cutoff)
        judged[name] = _judge(fitted[name], test, asked, config)
        if on_model:
            on_model(done, len(chosen))
    reference = judged[REFERENCE].errors.absolute
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
    bounds = model.interval.bounds(predictions, elapsed_days(test, asked), groups_at(asked, test, model.spec))
    return _Judged(model, DayErrors(predictions.days, *bounds, actual, predictions.mean_days()), seconds)


def _scores(name: str, judged: _Judged, reference: np.ndarray, stay: np.ndarray) -> ModelScores:
    errors = judged.errors
    difference = paired_bootstrap(errors.absolute, reference, stay)
    return ModelScores(
        name=name,
        mae_days=errors.mae_days,
        rmse_days=errors.rmse_days,
        msle=errors.msle,
        mape=errors.mape,
        r2=errors.r2,
        kappa=errors.kappa,
        coverage=errors.coverage,
        width_days=errors.width_days,
        seconds_train=round(judged.model.seconds, 3),
        seconds_score=round(judged.seconds, 3),
        difference_days=difference[0],
        difference_lower_days=difference[1],
        difference_upper_days=difference[2],
    )
