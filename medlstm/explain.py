"""Why a stay got its prediction: what changes when one input is hidden from the model (occlusion)."""

from dataclasses import replace

import numpy as np
import torch

from medlstm.batches import NightlyPoints, Stays, predict_days
from medlstm.models.ensemble import Ensemble


def occlusion_contributions(
    network: Ensemble, stays: Stays, points: NightlyPoints, predicted_days: np.ndarray, device: torch.device
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of all inputs [k] and their contributions in days [m, k]: the prediction minus that without the input.

    A hidden variable is one never observed; a hidden static is unknown. Elapsed time is never hidden.
    """
    spec = network.spec
    names = (*spec.variables, *spec.numeric, *spec.categories)
    contributions = np.empty((len(predicted_days), len(names)))
    for column, name in enumerate(names):
        contributions[:, column] = predicted_days - predict_days(network, _hide(stays, network, name), points, device)
    return names, contributions


def _hide(stays: Stays, network: Ensemble, name: str) -> Stays:
    spec = network.spec
    if name in spec.variables:
        values = stays.sequences.values.copy()
        values[:, spec.variables.index(name)] = np.nan
        return replace(stays, sequences=replace(stays.sequences, values=values))
    if name in spec.numeric:
        numeric = stays.numeric.copy()
        numeric[:, spec.numeric.index(name)] = np.nan
        return replace(stays, numeric=numeric)
    codes = stays.codes.copy()
    codes[:, list(spec.categories).index(name)] = -1
    return replace(stays, codes=codes)


def largest_reasons(names: tuple[str, ...], contributions: np.ndarray, count: int) -> list[list[dict[str, object]]]:
    """Per row of contributions [m, k] the `count` inputs that moved the prediction most, largest first."""
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
    return [
        [{"variable": names[column], "contribution_days": float(row[column])} for column in chosen]
        for row, chosen in zip(contributions, order, strict=True)
    ]
