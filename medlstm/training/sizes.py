"""What a training makes of the number of its stays, where the configuration leaves it open."""

import math
import os
from dataclasses import dataclass

import torch

from medlstm.settings.workspace import Config

_FEW_STAYS = 1_000
_MANY_STAYS = 20_000
# An epoch more shows nothing new once a network has seen so many stays, and fewer epochs than these do not settle.
_STAYS_TO_SEE = 72_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 8, 20
_TABLE_ROWS = 20_000
# Starting processes takes seconds: less work than so many steps of stays is done sooner in one.
_STEPS_WORTH_PROCESSES = 60_000


@dataclass(frozen=True)
class Sizes:
    """Members of the ensemble, units of a network's layer, epochs at most, rows for models on tables at most."""

    members: int
    hidden_units: int
    max_epochs: int
    table_rows: int

    def __str__(self) -> str:
        return (
            f"members {self.members}, hidden_units {self.hidden_units}, max_epochs {self.max_epochs}, "
            f"table_rows {self.table_rows}"
        )


def sizes_for(stays: int, config: Config) -> Sizes:
    """The sizes for so many stays of the train and validation splits; what the configuration names is taken as it is.

    Five members (three above 20,000 stays, whose members differ little), 64 units (32 below 1,000 stays), epochs that
    show a network some 72,000 stays (8 to 20), 20,000 rows of tables.
    """
    model, training = config.model, config.training
    epochs = min(max(math.ceil(_STAYS_TO_SEE / max(stays, 1)), _FEWEST_EPOCHS), _MOST_EPOCHS)
    return Sizes(
        members=model.members or (5 if stays <= _MANY_STAYS else 3),
        hidden_units=model.hidden_units or (32 if stays < _FEW_STAYS else 64),
        max_epochs=training.max_epochs or epochs,
        table_rows=training.table_rows or _TABLE_ROWS,
    )


def processes_for(steps: int, members: int, device: torch.device, config: Config) -> int:
    """How many members to fit at a time, each in a process of its own, for training stays of so many steps in all: one
    for each core that this process may use, but one alone on a GPU and where the work is small."""
    if device.type != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    worth = cores if steps * members >= _STEPS_WORTH_PROCESSES else 1
    return min(config.training.processes or worth, members)
