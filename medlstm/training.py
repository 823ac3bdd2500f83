"""Train a model: every member on its own stays, intervals on stays apart, errors on stays never fitted on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch

from medlstm.batches import NightlyPoints, Predictions, Stays, arrange, elapsed_days, nightly_points, predict
from medlstm.config import Config
from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.fitting import fit_spec
from medlstm.folds import assign_windows, window_count
from medlstm.gradient import EpochLoss, Progress
from medlstm.intervals import Interval, calibrate
from medlstm.membership import MemberStays, fit_blend_weights, fit_member
from medlstm.metrics import interval_coverage, mean_absolute_error
from medlstm.models.ensemble import Ensemble
from medlstm.models.member import Member
from medlstm.models.spec import ModelSpec
from medlstm.sequences import StaySequences

# Where predictions of some stays are wanted.
PointsOf = Callable[[StaySequences], NightlyPoints]


@dataclass(frozen=True)
class Evaluation:
    """Errors at the nightly points of discharged stays that no weight was fitted on."""

    stays: int
    points: int
    mae_days: float
    median_mae_days: float
    coverage: float


@dataclass(frozen=True)
class OutOfFold:
    """One member's predictions for the discharged stays that it stopped on and did not train on."""

    predictions: Predictions
    actual_days: np.ndarray
    elapsed_days: np.ndarray
    stays: int


@dataclass(frozen=True)
class FittedModel:
    """A fitted network with its intervals, and what is known of its errors from training alone."""

    spec: ModelSpec
    network: Ensemble
    interval: Interval
    baseline_median_days: float
    training_stays: int
    censored_stays: int
    out_of_fold: tuple[OutOfFold, ...]
    losses: tuple[EpochLoss, ...]
    reached_deadline: bool


@dataclass(frozen=True)
class TrainedModel:
    """A fitted network on the CPU, and what is needed to use and to judge it.

    `baseline_median_days` is the constant that a prediction has to beat: the median remaining days at the
    nightly points of discharged training stays. `validation` judges each member on the stays that it stopped on.
    """

    spec: ModelSpec
    network: Ensemble
    interval: Interval
    baseline_median_days: float
    training_stays: int
    censored_stays: int
    validation: Evaluation
    test: Evaluation
    losses: tuple[EpochLoss, ...]
    reached_deadline: bool


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA, then Apple's MPS, then the CPU. Raises MedlstmError."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        raise MedlstmError(f"training.device = {name!r}: this machine has none; set it to auto or cpu")
    return torch.device(name)


def train_model(
    sequences: StaySequences, config: Config, cutoff: datetime, on_epoch: Progress | None = None
) -> TrainedModel:
    """Fit on the train and validation splits (open stays as censored), calibrate and test on their own splits.

    `on_epoch(loss, max_epochs)` is called after each epoch. Raises ModelUnavailable with too few discharged
    stays, and MedlstmError when the loss is not finite.
    """

    def points_of(stays: StaySequences) -> NightlyPoints:
        return nightly_points(stays, cutoff)

    fitted = fit_model(sequences, points_of, config, on_epoch)
    test = split_of(sequences, "test")
    points = nightly_points_of_discharged(test, cutoff)
    device = choose_device(config.training.device)
    return TrainedModel(
        spec=fitted.spec,
        network=fitted.network,
        interval=fitted.interval,
        baseline_median_days=fitted.baseline_median_days,
        training_stays=fitted.training_stays,
        censored_stays=fitted.censored_stays,
        validation=_judge_out_of_fold(fitted),
        test=evaluate(
            fitted.network, fitted.interval, fitted.baseline_median_days, arrange(test, fitted.spec), points, device
        ),
        losses=fitted.losses,
        reached_deadline=fitted.reached_deadline,
    )


def fit_model(
    sequences: StaySequences, points_of: PointsOf, config: Config, on_epoch: Progress | None = None
) -> FittedModel:
    """Fit on the train and validation splits and calibrate on the calibration split; other splits are not looked at.

    `points_of` names the moments of some stays at which the model will be asked.
    """
    _require_stays(sequences, config.training.min_stays)
    window = assign_windows(sequences.stays, config.model.members, config.training)
    pool = np.isin(sequences.stays["split"].to_numpy(), ["train", "validation"])
    core = sequences.select(pool & (window < 0))
    spec = fit_spec(core, points_of(core), config)
    device = choose_device(config.training.device)
    stays = [
        _stays_of_member(sequences, pool, window == position % window_count(spec.members, config.training), spec,
                         points_of)
        for position in range(spec.members)
    ]  # fmt: skip
    with torch.random.fork_rng():
        network, losses, reached_deadline = _fit_members(spec, stays, config, device, on_epoch)
    trained = sequences.select(pool & ((window != 0) | (len(stays) > 1)))
    known = _discharged(points_of(core), core)
    calibration = split_of(sequences, "calibration")
    asked = _known_points(points_of(calibration), calibration)
    predicted = predict(network, arrange(calibration, spec), asked, device)
    interval = calibrate(
        predicted, within_horizon(asked.remaining_days, spec), elapsed_days(calibration, asked),
        config.scoring.interval_coverage,
    )  # fmt: skip
    windows = window_count(spec.members, config.training)
    out_of_fold = tuple(
        _out_of_fold(member, one, device) for member, one in zip(network.each()[:windows], stays, strict=False)
    )
    return FittedModel(
        spec=spec,
        network=network.to("cpu"),
        interval=interval,
        baseline_median_days=float(np.median(within_horizon(known.remaining_days, spec))),
        training_stays=len(trained),
        censored_stays=int(trained.stays["is_open"].sum()),
        out_of_fold=out_of_fold,
        losses=losses,
        reached_deadline=reached_deadline,
    )


def split_of(sequences: StaySequences, name: str) -> StaySequences:
    """The stays of one split."""
    return sequences.select((sequences.stays["split"] == name).to_numpy())


def within_horizon(days: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Days [n] as the model is meant to tell them: no longer than its horizon."""
    return days if spec.horizon_days is None else np.minimum(days, spec.horizon_days)


def _stays_of_member(
    sequences: StaySequences, pool: np.ndarray, held_out: np.ndarray, spec: ModelSpec, points_of: PointsOf
) -> MemberStays:
    training, validation = sequences.select(pool & ~held_out), sequences.select(pool & held_out)
    return MemberStays(
        arrange(training, spec), points_of(training), arrange(validation, spec), points_of(validation)
    )


def _require_stays(sequences: StaySequences, min_stays: int) -> None:
    known = sequences.stays["split"][~sequences.stays["is_open"].astype(bool)].value_counts()
    if known.get("train", 0) < min_stays:
        raise ModelUnavailable(
            f"{known.get('train', 0)} discharged stays to train on, training.min_stays = {min_stays}: "
            "wait for more nights or lower it"
        )
    empty = [name for name in ("validation", "calibration") if known.get(name, 0) == 0]
    if empty:
        raise ModelUnavailable(f"no discharged stay fell into the split {', '.join(empty)}: wait for more nights")


def nightly_points_of_discharged(sequences: StaySequences, cutoff: datetime) -> NightlyPoints:
    """The nightly points of the stays whose remaining days are known; raises ModelUnavailable where none has one."""
    return _known_points(nightly_points(sequences, cutoff), sequences)


def _known_points(points: NightlyPoints, sequences: StaySequences) -> NightlyPoints:
    known = _discharged(points, sequences)
    if len(known.stay) == 0:
        raise ModelUnavailable("no discharged stay of a split lasted over a night: wait for more nights")
    return known


def _discharged(points: NightlyPoints, sequences: StaySequences) -> NightlyPoints:
    known = ~sequences.stays["is_open"].to_numpy(dtype=bool)[points.stay]
    return NightlyPoints(points.stay[known], points.step[known], points.remaining_days[known])


def evaluate(
    network: Ensemble,
    interval: Interval,
    baseline_median_days: float,
    stays: Stays,
    points: NightlyPoints,
    device: torch.device,
) -> Evaluation:
    """MAE in days beside the constant median's, and the coverage of the intervals, at the given points."""
    predicted = predict(network, stays, points, device)
    actual = within_horizon(points.remaining_days, network.spec)
    elapsed = elapsed_days(stays.sequences, points)
    return _evaluation(predicted, actual, elapsed, len(np.unique(points.stay)), interval, baseline_median_days)


def _judge_out_of_fold(fitted: FittedModel) -> Evaluation:
    """Every window's stays, each predicted by the member that did not train on them."""
    judged = [
        _evaluation(one.predictions, one.actual_days, one.elapsed_days, one.stays, fitted.interval,
                    fitted.baseline_median_days)
        for one in fitted.out_of_fold
    ]  # fmt: skip
    weights = [one.points for one in judged]
    return Evaluation(
        stays=sum(one.stays for one in judged),
        points=sum(weights),
        mae_days=float(np.average([one.mae_days for one in judged], weights=weights)),
        median_mae_days=float(np.average([one.median_mae_days for one in judged], weights=weights)),
        coverage=float(np.average([one.coverage for one in judged], weights=weights)),
    )


def _evaluation(
    predicted: Predictions, actual: np.ndarray, elapsed: np.ndarray, stays: int, interval: Interval, median: float
) -> Evaluation:
    lower, upper = interval.bounds(predicted, elapsed)
    return Evaluation(
        stays=stays,
        points=len(actual),
        mae_days=mean_absolute_error(predicted.days, actual),
        median_mae_days=mean_absolute_error(np.full_like(actual, median), actual),
        coverage=interval_coverage(lower, upper, actual),
    )


def _out_of_fold(member: Member, stays: MemberStays, device: torch.device) -> OutOfFold:
    sequences = stays.validation.sequences
    points = _known_points(stays.validation_points, sequences)
    return OutOfFold(
        predictions=predict(member, stays.validation, points, device),
        actual_days=within_horizon(points.remaining_days, member.spec),
        elapsed_days=elapsed_days(sequences, points),
        stays=len(np.unique(points.stay)),
    )


def _fit_members(
    spec: ModelSpec, stays: list[MemberStays], config: Config, device: torch.device, on_epoch: Progress | None
) -> tuple[Ensemble, tuple[EpochLoss, ...], bool]:
    """Every member from its own seed; the time allowed is shared out evenly among those still to come."""
    torch.manual_seed(config.training.seed)
    network = Ensemble(spec).to(device)
    deadline = time.monotonic() + config.training.max_minutes * 60
    losses: list[EpochLoss] = []
    late = False
    for position, (member, own) in enumerate(zip(network.each(), stays, strict=True)):
        share = (deadline - time.monotonic()) / (spec.members - position)
        history, cut_short = fit_member(member, own, config, device, position, time.monotonic() + share, on_epoch)
        losses += history
        late = late or cut_short
    fit_blend_weights(network.each()[: window_count(spec.members, config.training)], stays, device, network.each())
    return network, tuple(losses), late
