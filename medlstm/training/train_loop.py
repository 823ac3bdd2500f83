"""Teach one network by gradient: mini-batches, censored stays, early stopping, best weights, a deadline."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medlstm.errors import MedlstmError
from medlstm.models.augmentation import rare_variables, sampled_less_often
from medlstm.models.step_network import StepNetwork
from medlstm.sequences.batches import (
    Batch,
    Stays,
    collate,
    ordered_batches,
    parts_of_like_length,
    shuffled_batches,
    valid_steps,
)
from medlstm.sequences.nightly_points import NightlyPoints
from medlstm.settings.workspace import Config, TrainingSection
from medlstm.training.sizes import Sizes

_SANITY_BATCHES = 2
_STARTING_STAYS = 512
_LOWEST_RATE_SHARE = 0.02


@dataclass(frozen=True)
class EpochLoss:
    """The losses of one member after one epoch."""

    member: int
    epoch: int
    training_loss: float
    validation_loss: float


Progress = Callable[[EpochLoss, Sizes], None]


def epochs_done(loss: EpochLoss, sizes: Sizes) -> tuple[int, int]:
    """How many epochs of all members are done after this one, and how many there are at most."""
    return loss.member * sizes.max_epochs + loss.epoch, sizes.members * sizes.max_epochs


class GradientFit:
    """One network's training: its optimiser, its batches and its best weights so far.

    It stops on the loss at `validation_points`, where it will be asked.
    """

    def __init__(
        self,
        member: StepNetwork,
        training: Stays,
        validation: Stays,
        validation_points: NightlyPoints,
        config: Config,
        sizes: Sizes,
        device: torch.device,
        position: int,
        on_epoch: Progress | None,
    ) -> None:
        self.member = member
        self.training_stays = training
        self.config = config
        self.sizes = sizes
        self.device = device
        self.position = position
        self.on_epoch = on_epoch
        self.generator = np.random.default_rng([config.training.seed, position])
        self.augmenter = torch.Generator().manual_seed(int(self.generator.integers(2**62)))
        self.rare = rare_variables(torch.from_numpy(training.sequences.values)).to(device)
        steps = training.sequences.steps
        self.every_step = config.model.supervise == "every_step"
        # A constant, so that a batch of short stays does not weigh as much as one of long stays.
        self.loss_scale = config.training.batch_size * (float(steps.mean()) if self.every_step else 1.0)
        self.optimizer = _optimizer(member, config.training)
        self.validation_batches = list(_batches_with_points(validation, validation_points, device))

    def run(self, deadline: float) -> tuple[list[EpochLoss], bool]:
        """Train until patience, epochs or time run out, and leave the best weights in the member.

        Gives the losses, and whether the deadline (of time.monotonic) cut it short. Raises MedlstmError when a loss
        or a gradient is not finite.
        """
        self._start_from_the_level()
        self._check_sanity()
        history: list[EpochLoss] = []
        best_loss, best_weights, best_epoch = float("inf"), _copy_weights(self.member), 0
        epochs = self.sizes.max_epochs
        for epoch in range(1, epochs + 1):
            self._set_rate(epoch, epochs)
            loss = EpochLoss(self.position, epoch, self._train_epoch(), self._validation_loss())
            history.append(loss)
            if self.on_epoch:
                self.on_epoch(loss, self.sizes)
            if loss.validation_loss < best_loss:
                best_loss, best_weights, best_epoch = loss.validation_loss, _copy_weights(self.member), epoch
            if epoch - best_epoch >= self.config.training.patience_epochs:
                break
            if time.monotonic() > deadline:
                self.member.load_state_dict(best_weights)
                return history, True
        self.member.load_state_dict(best_weights)
        return history, False

    def _set_rate(self, epoch: int, epochs: int) -> None:
        """A cosine from the learning rate down to nearly nothing at the last epoch that may come."""
        share = _LOWEST_RATE_SHARE + (1 - _LOWEST_RATE_SHARE) * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.training.learning_rate * share

    def _start_from_the_level(self) -> None:
        """The outputs' biases start at a typical answer, so that no epoch is spent on finding the level."""
        index = np.arange(min(len(self.training_stays), _STARTING_STAYS))
        batch = collate(self.training_stays, index, self.device)
        valid = valid_steps(batch.steps, batch.remaining_days.shape[1])
        days, censored = self._target(batch)
        with torch.no_grad():
            self.member.output.bias.copy_(self.member.head.start(days[valid], censored[valid]))

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
        steps = self.training_stays.sequences.steps
        for index in shuffled_batches(len(steps), self.config.training.batch_size, self.generator):
            self.optimizer.zero_grad(set_to_none=True)
            for part in parts_of_like_length(index, steps):
                batch = collate(self.training_stays, part, self.device)
                supervised = self._supervised(batch)
                loss = self._loss(batch, supervised, self._augmented(batch))
                (loss / self.loss_scale).backward()
                total += float(loss.detach())
                count += int(supervised.sum())
            norm = torch.nn.utils.clip_grad_norm_(self.member.parameters(), self.config.training.clip_norm)
            if not torch.isfinite(norm):
                raise MedlstmError("training: a gradient is not finite; lower training.learning_rate")
            self.optimizer.step()
        return total / count

    def _validation_loss(self) -> float:
        self.member.eval()
        total, count = 0.0, 0
        with torch.inference_mode():
            for batch, asked in self.validation_batches:
                total += float(self._loss(batch, asked))
                count += int(asked.sum())
        return total / max(count, 1)

    def _augmented(self, batch: Batch) -> Tensor:
        training = self.config.training
        if training.lab_cutoff_share == 0 and training.observation_dropout == 0:
            return batch.inputs.values
        return sampled_less_often(
            batch.inputs.values, batch.steps, self.rare, training.lab_cutoff_share, training.observation_dropout,
            self.augmenter,
        )  # fmt: skip

    def _target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Days that remain and whether more may; beyond the horizon all that counts is that it was reached."""
        horizon = self.member.spec.horizon_days
        if horizon is None:
            return batch.remaining_days, batch.censored
        return batch.remaining_days.clamp(max=horizon), batch.censored | (batch.remaining_days >= horizon)

    def _loss(self, batch: Batch, supervised: Tensor, values: Tensor | None = None) -> Tensor:
        """The sum of the loss over the supervised steps [B, T]."""
        output = self.member(batch.inputs if values is None else batch.inputs._replace(values=values))
        days, censored = self._target(batch)
        each = self.member.head.loss(output.remaining, days, censored, batch.followup_days)
        loss = torch.where(supervised, each, 0.0).sum()
        if output.mortality is None:
            return loss
        known = supervised & ~torch.isnan(batch.died).unsqueeze(1)
        died = torch.nan_to_num(batch.died).unsqueeze(1).expand_as(output.mortality)
        risk = functional.binary_cross_entropy_with_logits(output.mortality, died, reduction="none")
        return loss + self.config.training.mortality_weight * torch.where(known, risk, 0.0).sum()

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


def _batches_with_points(stays: Stays, points: NightlyPoints, device: torch.device) -> list[tuple[Batch, Tensor]]:
    """The stays in batches, and which steps [B, T] of each are among the points."""
    batches = []
    order = np.argsort(points.stay, kind="stable")
    bounds = np.searchsorted(points.stay[order], np.arange(len(stays) + 1))
    for index in ordered_batches(stays.sequences.steps):
        batch = collate(stays, index, device)
        asked = torch.zeros(batch.remaining_days.shape, dtype=torch.bool)
        for row, stay in enumerate(index):
            asked[row, points.step[order[bounds[stay] : bounds[stay + 1]]]] = True
        batches.append((batch, asked.to(device)))
    return batches


def _optimizer(member: StepNetwork, training: TrainingSection) -> torch.optim.Optimizer:
    if training.optimizer == "adam":
        return torch.optim.Adam(member.parameters(), lr=training.learning_rate)
    return torch.optim.AdamW(member.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)


def _copy_weights(member: StepNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in member.state_dict().items()}
