"""Fit one member on its own stays, whatever kind it is, and the weights of a blend on stays held out from it."""

from dataclasses import dataclass

import numpy as np
import torch

from medlstm.batches import NightlyPoints, Predictions, Stays, collate, ordered_batches, predict
from medlstm.config import Config
from medlstm.fitting import fit_buffers, set_buffers
from medlstm.gradient import EpochLoss, GradientFit, Progress
from medlstm.models.blending import BlendMember
from medlstm.models.distribution import RemainingStay
from medlstm.models.member import Member, StepNetwork, TableMember, TableRows

_WEIGHTS = np.linspace(0, 1, 21)
_MAX_TABLE_ROWS = 60_000


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
    device: torch.device,
    position: int,
    deadline: float,
    on_epoch: Progress | None,
) -> tuple[list[EpochLoss], bool]:
    """Fit in place; gives the losses of what learns by gradient, and whether the deadline cut it short.

    The input layer's buffers come from the member's own training stays.
    """
    if isinstance(member, BlendMember):
        history: list[EpochLoss] = []
        late = False
        for part in member.both():
            losses, cut_short = fit_member(part, stays, config, device, position, deadline, on_epoch)
            history, late = history + losses, late or cut_short
        return history, late
    set_buffers(member.inputs, fit_buffers(stays.training))
    if isinstance(member, StepNetwork):
        fit = GradientFit(
            member, stays.training, stays.validation, stays.validation_points, config, device, position, on_epoch
        )
        return fit.run(deadline)
    assert isinstance(member, TableMember)
    seed = config.training.seed * 1000 + position
    member.fit_rows(table_rows(member, stays.training, stays.training_points, device, seed), seed)
    return [], False


def table_rows(
    member: TableMember, stays: Stays, points: NightlyPoints, device: torch.device, seed: int
) -> TableRows:
    """Training rows of a model on tables at the points, at most 60,000 of them, drawn at random."""
    chosen = np.arange(len(points.stay))
    if len(chosen) > _MAX_TABLE_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, _MAX_TABLE_ROWS, replace=False))
    order = chosen[np.argsort(points.stay[chosen], kind="stable")]
    bounds = np.searchsorted(points.stay[order], np.arange(len(stays) + 1))
    features, taken = [], []
    with torch.inference_mode():
        for index in ordered_batches(stays.sequences.steps):
            within = np.concatenate([order[bounds[stay] : bounds[stay + 1]] for stay in index])
            row = np.repeat(np.arange(len(index)), (bounds[index + 1] - bounds[index]))
            batch = collate(stays, index, device)
            features.append(
                member.rows_at(
                    batch.inputs, torch.from_numpy(row).to(device), torch.from_numpy(points.step[within]).to(device)
                )
            )
            taken.append(within)
    at = np.concatenate(taken)
    frame = stays.sequences.stays
    limit = np.inf if member.spec.horizon_days is None else member.spec.horizon_days
    days = points.remaining_days[at]
    censored = frame["is_open"].to_numpy(dtype=bool)[points.stay[at]] | (days >= limit)
    died = np.full(len(frame), np.nan)
    if "died" in frame:
        died = frame["died"].astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)
    return TableRows(
        features=torch.cat(features).cpu(),
        days=torch.from_numpy(np.minimum(days, limit)),
        censored=torch.from_numpy(censored),
        died=torch.from_numpy(died[points.stay[at]]),
    )


def fit_blend_weights(
    judges: list[Member], stays: list[MemberStays], device: torch.device, members: list[Member]
) -> None:
    """Set the weights of all `members` of a blend to those with the least error on the stays that the `judges`, one
    a window, stopped on; nothing where the members are no blend."""
    blends = [member for member in judges if isinstance(member, BlendMember)]
    if not blends:
        return
    said = [_both_on_validation(blend, own, device) for blend, own in zip(blends, stays, strict=False)]
    weight = _best_weight(said)
    risk_weight = _best_risk_weight(said)
    for member in members:
        assert isinstance(member, BlendMember)
        member.weight.fill_(weight)
        member.mortality_weight.fill_(risk_weight)


@dataclass(frozen=True)
class _Said:
    first: Predictions
    second: Predictions
    days: np.ndarray
    known: np.ndarray
    died: np.ndarray


def _both_on_validation(blend: BlendMember, own: MemberStays, device: torch.device) -> _Said:
    frame, points = own.validation.sequences.stays, own.validation_points
    first, second = (predict(part, own.validation, points, device) for part in blend.both())
    limit = np.inf if blend.spec.horizon_days is None else blend.spec.horizon_days
    died = np.full(len(frame), np.nan)
    if "died" in frame:
        died = frame["died"].astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)
    return _Said(
        first, second, np.minimum(points.remaining_days, limit),
        ~frame["is_open"].to_numpy(dtype=bool)[points.stay], died[points.stay],
    )  # fmt: skip


def _best_weight(said: list[_Said]) -> float:
    errors = []
    for weight in _WEIGHTS:
        off = [
            np.abs(_mixed_days(one, weight)[one.known] - one.days[one.known]) for one in said
        ]
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
