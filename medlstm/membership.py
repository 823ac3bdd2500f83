"""Fit one member on its own stays, whatever kind it is, and the weights of a blend on stays held out from it."""

from dataclasses import dataclass

import numpy as np
import torch

from medlstm.batches import NightlyPoints, Predictions, Stays, batches_at, died, predict
from medlstm.config import Config, TrainingSection
from medlstm.gradient import EpochLoss, GradientFit, Progress
from medlstm.models.augmentation import rare_variables, sampled_less_often
from medlstm.models.blending import BlendMember
from medlstm.models.distribution import RemainingStay
from medlstm.models.member import Member, StepNetwork, TableMember, TableRows
from medlstm.models.spec import ModelSpec
from medlstm.sequences import StaySequences
from medlstm.sizes import Sizes

_WEIGHTS = np.linspace(0, 1, 21)
_STAYS_FOR_HALF = 100


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
            member, stays.training, stays.validation, stays.validation_points, config, sizes, device, position,
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
                    batch.values, batch.steps, rare, training.lab_cutoff_share, training.observation_dropout, generator
                )
                features.append(member.rows_at((values, *batch.inputs[1:]), row, step))
                taken.append(within)
    at = np.concatenate(taken)
    days, censored, died = targets(stays, asked, member.spec)
    return TableRows(
        features=torch.cat(features).cpu(),
        days=torch.from_numpy(days[at]),
        censored=torch.from_numpy(censored[at]),
        died=torch.from_numpy(died[at]),
    )


def targets(stays: Stays, points: NightlyPoints, spec: ModelSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days that remain at each point (no more than the horizon), whether more may, and 1 or 0 for those who died in
    hospital (NaN where it is not known); each [m]."""
    limit = np.inf if spec.horizon_days is None else spec.horizon_days
    is_open = stays.sequences.stays["is_open"].to_numpy(dtype=bool)
    censored = is_open[points.stay] | (points.remaining_days >= limit)
    return np.minimum(points.remaining_days, limit), censored, died(stays.sequences.stays)[points.stay]


def is_known(points: NightlyPoints, sequences: StaySequences, horizon_days: float | None) -> np.ndarray:
    """Whether the days that remain at each point [m] are known, up to the horizon: of discharged stays, and of open
    ones that went on beyond it."""
    is_open = sequences.stays["is_open"].to_numpy(dtype=bool)[points.stay]
    limit = np.inf if horizon_days is None else horizon_days
    return ~is_open | (points.remaining_days >= limit)


def fit_blend_weights(members: list[Member], stays: list[MemberStays], windows: int, device: torch.device) -> None:
    """Set the weights of all members of a blend to those with the least error on the stays that the first `windows`
    of them stopped on, one after the other; nothing where the members are no blend."""
    blends = [member for member in members if isinstance(member, BlendMember)]
    if not blends:
        return
    judges = zip(blends[:windows], stays, strict=False)
    said = [_both_on_validation(blend, own, device) for blend, own in judges]
    stays_judged = sum(len(np.unique(own.validation_points.stay)) for own in stays[:windows])
    weight, risk_weight = (drawn_to_half(best, stays_judged) for best in (_best_weight(said), _best_risk_weight(said)))
    for blend in blends:
        blend.weight.fill_(weight)
        blend.mortality_weight.fill_(risk_weight)


def drawn_to_half(weight: float, stays: int) -> float:
    """The weight that was best on so many stays, drawn towards one half as if a hundred others had said that: on a
    handful of stays the best is one or the other part alone, by chance."""
    return (stays * weight + _STAYS_FOR_HALF * 0.5) / (stays + _STAYS_FOR_HALF)


@dataclass(frozen=True)
class _Said:
    first: Predictions
    second: Predictions
    days: np.ndarray
    known: np.ndarray
    died: np.ndarray


def _both_on_validation(blend: BlendMember, own: MemberStays, device: torch.device) -> _Said:
    points = own.validation_points
    first, second = (predict(part, own.validation, points, device) for part in blend.each_part())
    days, _, dead = targets(own.validation, points, blend.spec)
    known = is_known(points, own.validation.sequences, blend.spec.horizon_days)
    return _Said(first, second, days, known, dead)


def _best_weight(said: list[_Said]) -> float:
    errors = []
    for weight in _WEIGHTS:
        off = [np.abs(_mixed_days(one, weight)[one.known] - one.days[one.known]) for one in said]
        errors.append(float(np.concatenate(off).mean()))
    return float(_WEIGHTS[int(np.argmin(errors))])


def _mixed_days(said: _Said, weight: float) -> np.ndarray:
    first, second = said.first.remaining, said.second.remaining
    if first is None or second is None:
        return weight * said.first.days + (1 - weight) * said.second.days
    survival = weight * first.survival + (1 - weight) * second.survival
    return RemainingStay(first.edges_days, first.tail_days, survival).median()


def _best_risk_weight(said: list[_Said]) -> float:
    if any(one.first.mortality is None or one.second.mortality is None for one in said):
        return 0.5
    losses = []
    for weight in _WEIGHTS:
        parts = []
        for one in said:
            assert one.first.mortality is not None
            assert one.second.mortality is not None
            known = ~np.isnan(one.died)
            risk = weight * one.first.mortality[known] + (1 - weight) * one.second.mortality[known]
            parts.append(-np.log(np.clip(np.where(one.died[known] == 1, risk, 1 - risk), 1e-9, 1)))
        joined = np.concatenate(parts)
        losses.append(float(joined.mean()) if len(joined) else 0.0)
    return float(_WEIGHTS[int(np.argmin(losses))])
