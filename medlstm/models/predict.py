"""Predictions of a network at any step of any stay: the same alone and in any company."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medlstm.models.distribution import RemainingStay
from medlstm.models.ensemble import Ensemble
from medlstm.models.member import Member, Prediction
from medlstm.models.spec import ModelSpec
from medlstm.sequences.batches import Stays, batches_at
from medlstm.sequences.nightly_points import NightlyPoints


@dataclass(frozen=True)
class Predictions:
    """What a model says at m points: the point in days [m], the distribution where the model gives one, and the
    probability of dying in hospital [m] where that is trained."""

    days: np.ndarray
    remaining: RemainingStay | None
    mortality: np.ndarray | None

    def mean_days(self) -> np.ndarray:
        """The mean of the distribution, or the point where there is none."""
        return self.days if self.remaining is None else self.remaining.mean()

    def at(self, rows: np.ndarray) -> "Predictions":
        """What is said at some of the points, by their places or a mask."""
        return Predictions(
            self.days[rows],
            None if self.remaining is None else self.remaining.at(rows),
            None if self.mortality is None else self.mortality[rows],
        )

    def after(self, passed_days: np.ndarray) -> "Predictions":
        """What remains, given that so many days [m] more have passed and the stay has not ended."""
        if not passed_days.any():
            return self
        if self.remaining is None:
            return Predictions(np.maximum(self.days - passed_days, 0.0), None, self.mortality)
        later = self.remaining.after(passed_days)
        return Predictions(later.median(), later, self.mortality)


def predict(
    network: Ensemble | Member,
    stays: Stays,
    points: NightlyPoints,
    device: torch.device,
    dtype: torch.dtype = torch.float64,
) -> Predictions:
    """Predictions at the given stays and steps, in double precision (on the CPU where the device has none): the same
    alone and in any company.

    The point is the median of a distribution, or the output of a head that gives a point only. With `dtype` float32
    it takes half the time, and the company of other stays shows in the sixth digit. The network itself stays as it is.
    """
    device = torch.device("cpu") if device.type == "mps" else device
    network = deepcopy(network).to(device, dtype).eval()
    collected: list[tuple[np.ndarray, Prediction]] = []
    with torch.inference_mode():
        for within, batch, row, step in batches_at(stays, points, device):
            collected.append((within, network.at(batch.inputs.as_type(dtype), row, step)))
    return _joined(network.spec, len(points.stay), collected)


def _joined(spec: ModelSpec, count: int, collected: list[tuple[np.ndarray, Prediction]]) -> Predictions:
    def column(parts: list[Tensor | None]) -> np.ndarray | None:
        if not parts or any(part is None for part in parts):
            return None
        arrays = [part.to("cpu", torch.float64).numpy() for part in parts if part is not None]
        joined = np.empty((count, *arrays[0].shape[1:]))
        for (within, _), array in zip(collected, arrays, strict=True):
            joined[within] = array
        return joined

    days = column([said.days for _, said in collected])
    survival = column([said.survival for _, said in collected])
    mortality = column([said.mortality for _, said in collected])
    limit = np.inf if spec.horizon_days is None else spec.horizon_days
    if survival is None:
        return Predictions(np.minimum(np.empty(0) if days is None else days, limit), None, mortality)
    remaining = RemainingStay(np.array(spec.edges_days), spec.tail_days, survival)
    return Predictions(remaining.median(), remaining, mortality)


def days_of(spec: ModelSpec, said: Prediction) -> np.ndarray:
    """The point in days [m] of an ensemble's answer: the median of its distribution, where there is one."""
    everything = _joined(spec, len(said.days), [(np.arange(len(said.days)), said)])
    return everything.days
