"""Regression heads for the remaining length of stay: scale of the output, and the loss per step."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

HeadName = Literal["smooth_log", "mse", "mae", "msle"]


@dataclass(frozen=True)
class RegressionHead:
    """`mse` and `mae` work in days; `msle` (squared) and `smooth_log` (SmoothL1) on log(1 + days)."""

    name: HeadName

    def encode(self, days: Tensor) -> Tensor:
        """Days to the scale of the network's output."""
        return torch.log1p(days) if self.name in ("msle", "smooth_log") else days

    def decode(self, output: Tensor) -> Tensor:
        """The network's output to days, never below zero."""
        days = torch.expm1(output) if self.name in ("msle", "smooth_log") else output
        return days.clamp(min=0.0)

    def loss(self, output: Tensor, days: Tensor, censored: Tensor) -> Tensor:
        """Loss per step, same shape as the three equal-shaped inputs.

        On a censored step `days` is the time already known to remain: only an output below it is wrong.
        Raises ValueError when the shapes differ, which would broadcast in silence.
        """
        if not output.shape == days.shape == censored.shape:
            raise ValueError(f"shapes differ: output {output.shape}, days {days.shape}, censored {censored.shape}")
        target = self.encode(days)
        target = torch.where(censored, torch.maximum(target, output.detach()), target)
        match self.name:
            case "mae":
                return functional.l1_loss(output, target, reduction="none")
            case "smooth_log":
                return functional.smooth_l1_loss(output, target, reduction="none")
            case _:
                return functional.mse_loss(output, target, reduction="none")
