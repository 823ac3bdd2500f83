"""The LSTM and gradient boosting together, weighed on stays that neither was trained on."""

from medlstm.models.blending import BlendMember
from medlstm.models.family import gbm, lstm
from medlstm.models.spec import ModelSpec


def build(spec: ModelSpec) -> BlendMember:
    """A member with fresh weights."""
    return BlendMember(
        spec, lstm.build(spec.model_copy(update={"name": "lstm"})), gbm.build(spec.model_copy(update={"name": "gbm"}))
    )
