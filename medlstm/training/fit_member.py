"""Fit one member on its own stays, whatever kind it is."""

from dataclasses import dataclass

import numpy as np
import torch

from medlstm.models.augmentation import rare_variables, sampled_less_often
from medlstm.models.blending import BlendMember
from medlstm.models.member import Member
from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork
from medlstm.models.table_member import TableMember, TableRows
from medlstm.sequences.batches import Stays, batches_at, died
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days, followup_hours
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import Config, TrainingSection
from medlstm.training.sizes import Sizes
from medlstm.training.train_loop import EpochLoss, GradientFit, Progress


@dataclass(frozen=True)
class MemberStays:
    """What one member trains on and what it stops on, with the points at which it will be asked."""

    training: Stays
    training_points: NightlyPoints
    validation: Stays
    validation_points: NightlyPoints


def fit_member(
    member: Member,
    stays: MemberStays,
    config: Config,
    sizes: Sizes,
    device: torch.device,
    position: int,
    deadline: float,
    on_epoch: Progress | None,
) -> tuple[list[EpochLoss], bool]:
    """Fit a member on the CPU in place (what learns by gradient visits the device); gives the losses of what learns by
    gradient, and whether the deadline cut it short. Its input layers are set already (`fit_buffers`)."""
    if isinstance(member, BlendMember):
        history: list[EpochLoss] = []
        late = False
        for part in member.each_part():
            losses, cut_short = fit_member(part, stays, config, sizes, device, position, deadline, on_epoch)
            history, late = history + losses, late or cut_short
        return history, late
    if isinstance(member, StepNetwork):
        member.to(device)
        fit = GradientFit(
            member,
            stays.training,
            stays.validation,
            stays.validation_points,
            config,
            sizes,
            device,
            position,
            on_epoch,
        )
        result = fit.run(deadline)
        member.to("cpu")
        return result
    assert isinstance(member, TableMember)
    seed = config.training.seed * 1000 + position
    rows = table_rows(member, stays.training, stays.training_points, config.training, sizes.table_rows, seed)
    member.fit_rows(rows, seed)
    return [], False


def table_rows(
    member: TableMember, stays: Stays, points: NightlyPoints, training: TrainingSection, most: int, seed: int
) -> TableRows:
    """Training rows of a model on tables at the points, at most so many of them, drawn at random; and each of them
    once more as it would be if it had been measured less often, where training augments."""
    chosen = np.arange(len(points.stay))
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    asked = NightlyPoints(points.stay[chosen], points.step[chosen], points.remaining_days[chosen])
    augments = training.lab_cutoff_share > 0 or training.observation_dropout > 0
    generator = torch.Generator().manual_seed(seed)
    rare = rare_variables(torch.from_numpy(stays.sequences.values))
    features, taken = [], []
    with torch.inference_mode():
        for within, batch, row, step in batches_at(stays, asked, torch.device("cpu")):
            features.append(member.rows_at(batch.inputs, row, step))
            taken.append(within)
            if augments:
                values = sampled_less_often(
                    batch.inputs.values,
                    batch.steps,
                    rare,
                    training.lab_cutoff_share,
                    training.observation_dropout,
                    generator,
                )
                features.append(member.rows_at(batch.inputs._replace(values=values), row, step))
                taken.append(within)
    at = np.concatenate(taken)
    wanted = targets(stays.sequences, asked, member.spec)
    return TableRows(
        features=torch.cat(features).cpu(),
        days=torch.from_numpy(wanted.days[at]),
        censored=torch.from_numpy(wanted.censored[at]),
        died=torch.from_numpy(wanted.died[at]),
    )


@dataclass(frozen=True)
class Targets:
    """What is known of the stays at m points, each [m]: the days that remain (no more than the horizon), whether more
    may, the days up to which it is known whether the stay had ended, and 1 or 0 for those who died in hospital (NaN
    where it is not known)."""

    days: np.ndarray
    censored: np.ndarray
    followup_days: np.ndarray
    died: np.ndarray

    def restricted_error(self, days: np.ndarray) -> np.ndarray:
        """|predicted - actual| [m] of days [m], both cut at the follow-up: it is known of open stays too, and nobody is
        better in it by taking all stays for short ones."""
        return np.abs(np.minimum(days, self.followup_days) - np.minimum(self.days, self.followup_days))


def targets(sequences: StaySequences, points: NightlyPoints, spec: ModelSpec) -> Targets:
    """What is known of the stays at the points."""
    limit = np.inf if spec.horizon_days is None else spec.horizon_days
    is_open = sequences.stays["is_open"].to_numpy(dtype=bool)
    followup = followup_hours(sequences)[points.stay] / 24 - elapsed_days(sequences, points)
    return Targets(
        days=np.minimum(points.remaining_days, limit),
        censored=is_open[points.stay] | (points.remaining_days >= limit),
        followup_days=np.maximum(followup, points.remaining_days),
        died=died(sequences.stays)[points.stay],
    )


def is_known(points: NightlyPoints, sequences: StaySequences, horizon_days: float | None) -> np.ndarray:
    """Whether the days that remain at each point [m] are known, up to the horizon: of discharged stays, and of open
    ones that went on beyond it."""
    is_open = sequences.stays["is_open"].to_numpy(dtype=bool)[points.stay]
    limit = np.inf if horizon_days is None else horizon_days
    return ~is_open | (points.remaining_days >= limit)
