"""Where a model runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from medlstm.errors import MedlstmError


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let PyTorch, scikit-learn and NumPy compute on `count` CPU threads within the block.

    One is the default of the configuration: OpenMP's threads wait for the slowest of them at every operation, so on
    a machine that has other work two were measured 14 times slower than one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA, then Apple's MPS, then the CPU. Raises MedlstmError."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        raise MedlstmError(f"training.device = {name!r}: this machine has none; set it to auto or cpu")
    return torch.device(name)
