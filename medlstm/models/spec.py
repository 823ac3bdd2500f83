"""What a trained model is made of, as plain data that fits in JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from medlstm.models.heads import HeadName


class ModelSpec(BaseModel):
    """Architecture, inputs and their order; with the weights, all that scoring needs.

    `categories` maps each categorical static to its known values, in the order of their codes. `edges_days` are
    the bins of every predicted distribution, `tail_days` the mean time beyond the last edge. With a horizon, a
    longer remaining stay counts as the horizon.
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

    @property
    def category_sizes(self) -> list[int]:
        """Number of known values of each categorical static."""
        return [len(known) for known in self.categories.values()]
