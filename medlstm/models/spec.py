"""What a trained model is made of, as plain data that fits in JSON."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_serializer, field_validator

from medlstm.models.heads import HeadName

# A blend that does not name its parts has these.
PARTS_BEFORE_THEY_WERE_NAMED = ("lstm", "gbm")
# Files of trees that do not name their columns have these.
STATISTICS_BEFORE_THEY_WERE_NAMED = (
    "last", "mean", "minimum", "maximum", "spread", "first", "day_mean", "day_change", "age", "count",
)  # fmt: skip


class ModelSpec(BaseModel):
    """Architecture, inputs and their order; with the weights, all that scoring needs.

    `categories` maps each categorical static to its known values, in the order of their codes; in a file it is a list,
    since the order of the names is that of the network's columns and a JSON object has none. `edges_days` are the bins
    of every predicted distribution, `tail_days` the mean time beyond the last edge. With a horizon, a longer remaining
    stay counts as the horizon. `table_statistics` are the summaries of each variable that models on tables take, in the
    order of their columns; `parts` are the models that a blend is made of. With `two_ends` trees and linear models
    learn death and discharge as two kinds of end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    head: HeadName
    inputs: Literal["clinical", "plain"]
    hidden_units: int
    layers: int
    dropout: float
    members: int
    summaries: bool = False
    mortality: bool = False
    edges_days: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)
    tail_days: float = 1.0
    horizon_days: float | None = None
    sharpness: float = 1.0
    variables: tuple[str, ...]
    numeric: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    bin_hours: int
    single_step: bool
    table_statistics: tuple[str, ...] = STATISTICS_BEFORE_THEY_WERE_NAMED
    parts: tuple[str, ...] = PARTS_BEFORE_THEY_WERE_NAMED
    two_ends: bool = False

    @field_validator("categories", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        names = [one["name"] for one in value]
        if len(set(names)) != len(names):
            raise ValueError(f"a categorical static is listed twice: {', '.join(names)}")
        return {one["name"]: one["known"] for one in value}

    @field_serializer("categories", when_used="json")
    def _as_list(self, value: dict[str, tuple[str, ...]]) -> list[dict[str, Any]]:
        return [{"name": name, "known": list(known)} for name, known in value.items()]

    @property
    def category_sizes(self) -> list[int]:
        """Number of known values of each categorical static."""
        return [len(known) for known in self.categories.values()]
