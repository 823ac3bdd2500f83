"""A weighted mean of two predictors' distributions."""

import torch
from torch import Tensor, nn

from medlstm.models.member import Member, Part, Prediction
from medlstm.models.spec import ModelSpec


class BlendMember(Member):
    """Two parts that are fitted apart; `weight` is the first one's share in the remaining stay, `mortality_weight`
    in the risk of dying. Both are set from stays that neither part was trained on."""

    weight: Tensor
    mortality_weight: Tensor

    def __init__(self, spec: ModelSpec, first: Part, second: Part) -> None:
        super().__init__(spec)
        self.parts = nn.ModuleList([first, second])
        self.register_buffer("weight", torch.tensor(0.5, dtype=torch.float64))
        self.register_buffer("mortality_weight", torch.tensor(0.5, dtype=torch.float64))

    def each_part(self) -> tuple[Part, Part]:
        first, second = self.parts
        assert isinstance(first, Part)
        assert isinstance(second, Part)
        return first, second

    def joined(self, said: list[Prediction]) -> Prediction:
        first, second = said
        survival = None
        if first.survival is not None and second.survival is not None:
            survival = mixed(first.survival, second.survival, self.weight)
        mortality = None
        if first.mortality is not None and second.mortality is not None:
            mortality = mixed(first.mortality, second.mortality, self.mortality_weight)
        return Prediction(mixed(first.days, second.days, self.weight), survival, mortality)


def mixed(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """weight * first + (1 - weight) * second."""
    share = weight.to(first.device)
    return share * first + (1 - share) * second.to(first.dtype)
