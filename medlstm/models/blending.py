"""A weighted mean of several predictors' distributions."""

from typing import Any

import torch
from torch import Tensor, nn

from medlstm.models.member import Member, Part, Prediction
from medlstm.models.spec import ModelSpec


class BlendMember(Member):
    """Parts that are fitted apart, with the share of each in the remaining stay (`weights`) and in the risk of dying
    (`mortality_weights`); both are set from stays that no part was trained on."""

    weights: Tensor
    mortality_weights: Tensor

    def __init__(self, spec: ModelSpec, parts: list[Part]) -> None:
        super().__init__(spec)
        self.parts = nn.ModuleList(parts)
        for name in ("weights", "mortality_weights"):
            self.register_buffer(name, torch.full((len(parts),), 1 / len(parts), dtype=torch.float64))

    def each_part(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if isinstance(part, Part))

    def joined(self, said: list[Prediction]) -> Prediction:
        curves = [one.survival for one in said if one.survival is not None]
        risks = [one.mortality for one in said if one.mortality is not None]
        return Prediction(
            mixed([one.days for one in said], self.weights),
            mixed(curves, self.weights) if len(curves) == len(said) else None,
            mixed(risks, self.mortality_weights) if len(risks) == len(said) else None,
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A blend of two used to keep the first one's weight alone."""
        for before, now in (("weight", "weights"), ("mortality_weight", "mortality_weights")):
            if prefix + before in state_dict:
                first = state_dict.pop(prefix + before)
                state_dict[prefix + now] = torch.stack([first, 1 - first])
        super()._load_from_state_dict(state_dict, prefix, *rest)


def mixed(said: list[Tensor], weights: Tensor) -> Tensor:
    """The mean of what is said, weighted [k]."""
    shares = weights.to(said[0].device)
    total = shares[0] * said[0]
    for share, one in zip(shares[1:], said[1:], strict=True):
        total = total + share * one.to(total.dtype)
    return total
