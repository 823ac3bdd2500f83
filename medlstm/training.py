"""Fit a model: mini-batches, one-sided loss on open stays, early stopping, best weights, a deadline."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
from torch import Tensor

from medlstm.batches import (
    Batch,
    NightlyPoints,
    Stays,
    arrange,
    collate,
    nightly_points,
    ordered_batches,
    predict_days,
    shuffled_batches,
)
from medlstm.config import Config, TrainingSection
from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.fitting import fit_buffers, fit_spec, set_buffers
from medlstm.intervals import ConformalInterval, calibrate
from medlstm.metrics import interval_coverage, mean_absolute_error
from medlstm.models.lstm import LstmModel, valid_steps
from medlstm.models.spec import Ensemble, ModelSpec
from medlstm.sequences import StaySequences

_SANITY_BATCHES = 2


@dataclass(frozen=True)
class EpochLoss:
    """The losses of one member after one epoch."""

    member: int
    epoch: int
    training_loss: float
    validation_loss: float


@dataclass(frozen=True)
class Evaluation:
    """Errors at the nightly points of discharged stays that no weight was fitted on."""

    stays: int
    points: int
    mae_days: float
    median_mae_days: float
    coverage: float


@dataclass(frozen=True)
class TrainedModel:
    """A fitted network on the CPU, and what is needed to use and to judge it.

    `baseline_median_days` is the constant that a prediction has to beat: the median remaining days at the
    nightly points of discharged training stays.
    """

    spec: ModelSpec
    network: Ensemble
    interval: ConformalInterval
    baseline_median_days: float
    training_stays: int
    censored_stays: int
    validation: Evaluation
    test: Evaluation
    losses: tuple[EpochLoss, ...]
    reached_deadline: bool


Progress = Callable[[EpochLoss, int], None]


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
    """Fit on the train split (open stays as censored), stop on the validation split, calibrate on its own split.

    `on_epoch(loss, max_epochs)` is called after each epoch. Raises ModelUnavailable with too few discharged
    stays, and MedlstmError when the loss is not finite.
    """
    splits = {name: sequences.select((sequences.stays["split"] == name).to_numpy()) for name in
              ("train", "validation", "calibration", "test")}  # fmt: skip
    _require_stays(splits, config.training.min_stays)
    spec = fit_spec(splits["train"], config)
    device = choose_device(config.training.device)
    arranged = {name: arrange(split, spec) for name, split in splits.items()}
    with torch.random.fork_rng():
        network, losses, reached_deadline = _fit_members(spec, arranged, config, device, on_epoch)
    points = {name: nightly_points_of_discharged(split, cutoff) for name, split in splits.items()}
    baseline = float(np.median(points["train"].remaining_days))
    predicted = predict_days(network, arranged["calibration"], points["calibration"], device)
    interval = calibrate(predicted, points["calibration"].remaining_days, config.scoring.interval_coverage)

    def judge(name: str) -> Evaluation:
        return evaluate(network, interval, baseline, arranged[name], points[name], device)

    evaluations = judge("validation"), judge("test")
    return TrainedModel(
        spec=spec,
        network=network.to("cpu"),
        interval=interval,
        baseline_median_days=baseline,
        training_stays=len(splits["train"]),
        censored_stays=int(splits["train"].stays["is_open"].sum()),
        validation=evaluations[0],
        test=evaluations[1],
        losses=losses,
        reached_deadline=reached_deadline,
    )


def _require_stays(splits: dict[str, StaySequences], min_stays: int) -> None:
    discharged = {name: int((~split.stays["is_open"].astype(bool)).sum()) for name, split in splits.items()}
    if discharged["train"] < min_stays:
        raise ModelUnavailable(
            f"{discharged['train']} discharged stays to train on, training.min_stays = {min_stays}: "
            "wait for more nights or lower it"
        )
    empty = [name for name, count in discharged.items() if count == 0]
    if empty:
        raise ModelUnavailable(f"no discharged stay fell into the split {', '.join(empty)}: wait for more nights")


def nightly_points_of_discharged(sequences: StaySequences, cutoff: datetime) -> NightlyPoints:
    """The nightly points of the stays whose remaining days are known; the last step where none has one."""
    points = nightly_points(sequences, cutoff)
    known = ~sequences.stays["is_open"].to_numpy(dtype=bool)[points.stay]
    points = NightlyPoints(points.stay[known], points.step[known], points.remaining_days[known])
    if len(points.stay) == 0:
        raise ModelUnavailable("no discharged stay of a split lasted over a night: wait for more nights")
    return points


def evaluate(
    network: Ensemble,
    interval: ConformalInterval,
    baseline_median_days: float,
    stays: Stays,
    points: NightlyPoints,
    device: torch.device,
) -> Evaluation:
    """MAE in days beside the constant median's, and the coverage of the intervals, at the given points."""
    predicted = predict_days(network, stays, points, device)
    actual = points.remaining_days
    return Evaluation(
        stays=len(np.unique(points.stay)),
        points=len(actual),
        mae_days=mean_absolute_error(predicted, actual),
        median_mae_days=mean_absolute_error(np.full_like(actual, baseline_median_days), actual),
        coverage=interval_coverage(interval.lower(predicted), interval.upper(predicted), actual),
    )


def _fit_members(
    spec: ModelSpec, arranged: dict[str, Stays], config: Config, device: torch.device, on_epoch: Progress | None
) -> tuple[Ensemble, tuple[EpochLoss, ...], bool]:
    """Every member from its own seed; the time allowed is shared out evenly among those still to come."""
    seed = config.training.seed
    torch.manual_seed(seed)
    network = Ensemble(spec).to(device)
    buffers = fit_buffers(arranged["train"])
    deadline = time.monotonic() + config.training.max_minutes * 60
    losses: list[EpochLoss] = []
    late = False
    for position, member in enumerate(network.lstm_members()):
        set_buffers(member.inputs, buffers)
        share = (deadline - time.monotonic()) / (spec.members - position)
        fit = _MemberFit(member, network, arranged, config, device, position, on_epoch)
        history, cut_short = fit.run(time.monotonic() + share)
        losses += history
        late = late or cut_short
    return network, tuple(losses), late


class _MemberFit:
    """One member's training: its optimiser, its batches and its best weights so far."""

    def __init__(
        self,
        member: LstmModel,
        network: Ensemble,
        arranged: dict[str, Stays],
        config: Config,
        device: torch.device,
        position: int,
        on_epoch: Progress | None,
    ) -> None:
        self.member = member
        self.head = network.head
        self.training_stays = arranged["train"]
        self.config = config
        self.device = device
        self.position = position
        self.on_epoch = on_epoch
        self.generator = np.random.default_rng([config.training.seed, position])
        steps = self.training_stays.sequences.steps
        self.every_step = config.model.supervise == "every_step"
        # A constant, so that a batch of short stays does not weigh as much as one of long stays.
        self.loss_scale = config.training.batch_size * (float(steps.mean()) if self.every_step else 1.0)
        self.optimizer = _optimizer(member, config.training)
        validation = arranged["validation"]
        self.validation_batches = [
            collate(validation, index, device) for index in ordered_batches(validation.sequences.steps)
        ]

    def run(self, deadline: float) -> tuple[list[EpochLoss], bool]:
        """Train until patience, epochs or time run out, and leave the best weights in the member."""
        self._start_from_the_median()
        self._check_sanity()
        history: list[EpochLoss] = []
        best_loss, best_weights, best_epoch = float("inf"), _copy_weights(self.member), 0
        for epoch in range(1, self.config.training.max_epochs + 1):
            loss = EpochLoss(self.position, epoch, self._train_epoch(), self._validation_loss())
            history.append(loss)
            if self.on_epoch:
                self.on_epoch(loss, self.config.training.max_epochs)
            if loss.validation_loss < best_loss:
                best_loss, best_weights, best_epoch = loss.validation_loss, _copy_weights(self.member), epoch
            if epoch - best_epoch >= self.config.training.patience_epochs:
                break
            if time.monotonic() > deadline:
                self.member.load_state_dict(best_weights)
                return history, True
        self.member.load_state_dict(best_weights)
        return history, False

    def _start_from_the_median(self) -> None:
        """The output's bias starts at a typical answer, so that no epoch is spent on finding the level."""
        index = np.arange(min(len(self.training_stays), 512))
        batch = collate(self.training_stays, index, self.device)
        valid = valid_steps(batch.steps, batch.remaining_days.shape[1])
        with torch.no_grad():
            self.member.output.bias.fill_(self.head.encode(batch.remaining_days[valid]).median())

    def _check_sanity(self) -> None:
        """Two batches forward: inputs that give no finite loss are found before the first epoch, not after."""
        with torch.no_grad():
            for index in list(ordered_batches(self.training_stays.sequences.steps))[:_SANITY_BATCHES]:
                batch = collate(self.training_stays, index, self.device)
                if not torch.isfinite(self._loss(batch, self._supervised(batch))):
                    raise MedlstmError("training: the loss of the first batches is not finite; check the inputs")

    def _train_epoch(self) -> float:
        self.member.train()
        total, count = 0.0, 0
        for index in shuffled_batches(
            self.training_stays.sequences.steps, self.config.training.batch_size, self.generator
        ):
            batch = collate(self.training_stays, index, self.device)
            supervised = self._supervised(batch)
            loss = self._loss(batch, supervised)
            self.optimizer.zero_grad(set_to_none=True)
            (loss / self.loss_scale).backward()
            norm = torch.nn.utils.clip_grad_norm_(self.member.parameters(), self.config.training.clip_norm)
            if not torch.isfinite(norm):
                raise MedlstmError("training: a gradient is not finite; lower training.learning_rate")
            self.optimizer.step()
            total += float(loss.detach())
            count += int(supervised.sum())
        return total / count

    def _validation_loss(self) -> float:
        self.member.eval()
        total, count = 0.0, 0
        with torch.inference_mode():
            for batch in self.validation_batches:
                valid = valid_steps(batch.steps, batch.remaining_days.shape[1])
                total += float(self._loss(batch, valid))
                count += int(valid.sum())
        return total / count

    def _loss(self, batch: Batch, supervised: Tensor) -> Tensor:
        """The sum of the loss over the supervised steps [B, T]."""
        output = self.member(*batch.inputs)
        per_step = self.head.loss(output, batch.remaining_days, batch.censored)
        return torch.where(supervised, per_step, 0.0).sum()

    def _supervised(self, batch: Batch) -> Tensor:
        """All valid steps; or one a stay, chosen anew each time, where only the last of a window is taught.

        The very last step of a discharged stay would teach nothing but that nothing remains.
        """
        if self.every_step:
            return valid_steps(batch.steps, batch.remaining_days.shape[1])
        steps = batch.steps.to("cpu").numpy()
        chosen = torch.from_numpy(self.generator.integers(0, steps)).to(self.device)
        mask = torch.zeros(batch.remaining_days.shape, dtype=torch.bool, device=self.device)
        return mask.scatter_(1, chosen.unsqueeze(1), True)


def _optimizer(member: LstmModel, training: TrainingSection) -> torch.optim.Optimizer:
    if training.optimizer == "adam":
        return torch.optim.Adam(member.parameters(), lr=training.learning_rate)
    return torch.optim.AdamW(member.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)


def _copy_weights(member: LstmModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in member.state_dict().items()}
