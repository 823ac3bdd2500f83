"""Where a model runs."""

import torch

from medlstm.errors import MedlstmError


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA, then Apple's MPS, then the CPU. Raises MedlstmError."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        raise MedlstmError(f"training.device = {name!r}: this machine has none; set it to auto or cpu")
    return torch.device(name)
