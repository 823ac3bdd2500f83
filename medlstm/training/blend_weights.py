"""The shares of a blend's parts, from stays that none of them was trained on."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from medlstm.models.blending import BlendMember
from medlstm.models.distribution import RemainingStay
from medlstm.models.member import Member
from medlstm.models.predict import predict
from medlstm.training.fit_member import MemberStays, Targets, targets

_STEPS = 10
# What did best inside PhysioNet's set A, over four folds of it (docs/accuracy.md). What can be judged out of fold is
# one member, and one LSTM is further from five of them than trees are: it takes many stays to say otherwise.
USUAL_SHARES = {"lstm": 0.3, "gbm": 0.3, "aft": 0.15, "extra_trees": 0.25}
_STAYS_FOR_HALF = 2_000


def fit_blend_weights(members: list[Member], stays: list[MemberStays], windows: int, device: torch.device) -> None:
    """Set the weights of all members of a blend to those with the least error on the stays that the first `windows`
    of them stopped on, one after the other; nothing where the members are no blend."""
    blends = [member for member in members if isinstance(member, BlendMember)]
    if not blends:
        return
    said = [_on_validation(blend, own, device) for blend, own in zip(blends[:windows], stays, strict=False)]
    judged = sum(len(np.unique(own.validation_points.stay)) for own in stays[:windows])
    usual = np.array([USUAL_SHARES[name] for name in blends[0].spec.parts])
    usual /= usual.sum()
    shares = drawn_to(usual, _best_for_days(said, len(usual)), judged)
    risk_shares = drawn_to(usual, _best_for_risk(said, usual), judged)
    for blend in blends:
        blend.weights.copy_(torch.from_numpy(shares))
        blend.mortality_weights.copy_(torch.from_numpy(risk_shares))


def drawn_to(usual: np.ndarray, best: np.ndarray, stays: int) -> np.ndarray:
    """The shares [k] that were best on so many stays, drawn towards the usual ones as if two thousand others had said
    that: on some hundreds of stays the best is one part alone, by chance."""
    return (stays * best + _STAYS_FOR_HALF * usual) / (stays + _STAYS_FOR_HALF)


@dataclass(frozen=True)
class _Said:
    """What each of k parts said at m points: days [k, m], survival [k, m, E] and risk [k, m] where all give them."""

    days: np.ndarray
    survival: np.ndarray | None
    risk: np.ndarray | None
    wanted: Targets
    edges_days: np.ndarray
    tail_days: float

    def mixed_days(self, shares: np.ndarray) -> np.ndarray:
        """The point in days [m] of a blend of such shares [k]."""
        if self.survival is None:
            return np.tensordot(shares, self.days, axes=1)
        return RemainingStay(self.edges_days, self.tail_days, np.tensordot(shares, self.survival, axes=1)).median()


def _on_validation(blend: BlendMember, own: MemberStays, device: torch.device) -> _Said:
    points = own.validation_points
    parts = [predict(part, own.validation, points, device) for part in blend.each_part()]
    curves = [one.remaining.survival for one in parts if one.remaining is not None]
    risks = [one.mortality for one in parts if one.mortality is not None]
    return _Said(
        days=np.stack([one.days for one in parts]),
        survival=np.stack(curves) if len(curves) == len(parts) else None,
        risk=np.stack(risks) if len(risks) == len(parts) else None,
        wanted=targets(own.validation.sequences, points, blend.spec),
        edges_days=np.array(blend.spec.edges_days),
        tail_days=blend.spec.tail_days,
    )


def _candidates(parts: int) -> np.ndarray:
    """All shares of so many parts in tenths, each row adding up to 1."""
    first = np.array([one for one in product(range(_STEPS + 1), repeat=parts - 1) if sum(one) <= _STEPS])
    return np.column_stack([first, _STEPS - first.sum(axis=1)]) / _STEPS


def _best_for_days(said: list[_Said], parts: int) -> np.ndarray:
    candidates = _candidates(parts)
    errors = [
        float(np.concatenate([one.wanted.restricted_error(one.mixed_days(shares)) for one in said]).mean())
        for shares in candidates
    ]
    return candidates[int(np.argmin(errors))]


def _best_for_risk(said: list[_Said], usual: np.ndarray) -> np.ndarray:
    """By the likelihood of what became of the stays whose outcome is known."""
    risks, outcomes = [], []
    for one in said:
        if one.risk is None:
            return usual
        known = ~np.isnan(one.wanted.died)
        risks.append(one.risk[:, known])
        outcomes.append(one.wanted.died[known] == 1)
    risk, died = np.concatenate(risks, axis=1), np.concatenate(outcomes)
    if not len(died):
        return usual
    candidates = _candidates(len(usual))
    mixed = candidates @ risk
    losses = -np.log(np.clip(np.where(died, mixed, 1 - mixed), 1e-9, 1)).mean(axis=1)
    return candidates[int(np.argmin(losses))]
