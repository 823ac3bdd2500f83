"""The names of all models, found without importing any of them."""

import pkgutil
from pathlib import Path

_FAMILY = Path(__file__).parents[1] / "models" / "family"

# What a blend is made of.
BLEND_PARTS = ("lstm", "gbm", "aft", "extra_trees")


def model_names() -> tuple[str, ...]:
    """Every known model: one file in medlstm/models/family each."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(_FAMILY)])))
