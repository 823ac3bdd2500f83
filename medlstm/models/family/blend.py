"""The LSTM, gradient boosting, extremely randomised trees and the accelerated failure time model together, weighed on
stays that none was trained on."""

from medlstm.models.blending import BlendMember
from medlstm.models.family import aft, extra_trees, gbm, lstm
from medlstm.models.member import Part
from medlstm.models.spec import ModelSpec

_BUILDERS = {"lstm": lstm.build, "gbm": gbm.build, "aft": aft.build, "extra_trees": extra_trees.build}


def build(spec: ModelSpec) -> BlendMember:
    """A member with fresh weights, of the parts that `spec.parts` names."""
    parts: list[Part] = [_BUILDERS[name](spec.model_copy(update={"name": name})) for name in spec.parts]
    return BlendMember(spec, parts)
