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

    A hidden variable is one never observed; a hidden number is unknown, which the model takes for the median. A
    hidden category is the mean over all stays' categories: a model that was never shown an unknown one would
    answer at random. Elapsed time is never hidden.
    """
    spec = network.spec
    names = (*spec.variables, *spec.numeric, *spec.categories)
    contributions = np.zeros((len(predicted_days), len(names)))
    for column, name in enumerate(names):
        for weight, hidden in _hide(stays, network, name):
            contributions[:, column] += weight * (predicted_days - predict_days(network, hidden, points, device))
    return names, contributions


def _hide(stays: Stays, network: Ensemble, name: str) -> list[tuple[float, Stays]]:
    """What stands in for the hidden input, with the weight of each stand-in."""
    spec = network.spec
    if name in spec.variables:
        values = stays.sequences.values.copy()
        values[:, spec.variables.index(name)] = np.nan
        return [(1.0, replace(stays, sequences=replace(stays.sequences, values=values)))]
    if name in spec.numeric:
        numeric = stays.numeric.copy()
        numeric[:, spec.numeric.index(name)] = np.nan
        return [(1.0, replace(stays, numeric=numeric))]
    column = list(spec.categories).index(name)
    shares = []
    for code, count in zip(*np.unique(stays.codes[:, column], return_counts=True), strict=True):
        codes = stays.codes.copy()
        codes[:, column] = code
        shares.append((count / len(codes), replace(stays, codes=codes)))
    return shares


def largest_reasons(names: tuple[str, ...], contributions: np.ndarray, count: int) -> list[list[dict[str, object]]]:
    """Per row of contributions [m, k] the `count` inputs that moved the prediction most, largest first."""
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
    return [
        [{"variable": names[column], "contribution_days": float(row[column])} for column in chosen]
        for row, chosen in zip(contributions, order, strict=True)
    ]
