"""Why a stay got its prediction: what changes when one input is hidden from the model (occlusion)."""

from dataclasses import replace

import numpy as np
import torch

from medlstm.batches import NightlyPoints, Stays, predict
from medlstm.models.ensemble import Ensemble


def occlusion_contributions(
    network: Ensemble, stays: Stays, points: NightlyPoints, device: torch.device
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of all inputs [k] and their contributions in days [m, k]: the prediction minus that without the input.

    A hidden variable is one never observed; a hidden number is unknown, which the model takes for the median. A
    hidden category is the mean over all stays' categories: a model that was never shown an unknown one would
    answer at random. Elapsed time is never hidden. In single precision: a contribution needs no more.
    """
    spec = network.spec
    names = (*spec.variables, *spec.numeric, *spec.categories)
    predicted = predict(network, stays, points, device, torch.float32).days
    contributions = np.zeros((len(predicted), len(names)))
    for column, name in enumerate(names):
        # Hiding what a stay never had changes nothing: such stays are not computed again.
        affected = np.flatnonzero(_has(stays, network, name)[points.stay])
        some = NightlyPoints(points.stay[affected], points.step[affected], points.remaining_days[affected])
        for weight, hidden in _hide(stays, network, name):
            without = predict(network, hidden, some, device, torch.float32).days
            contributions[affected, column] += weight * (predicted[affected] - without)
    return names, contributions


def _has(stays: Stays, network: Ensemble, name: str) -> np.ndarray:
    """The stays [n] bool in which the input is known at all."""
    spec = network.spec
    if name in spec.variables:
        seen = ~np.isnan(stays.sequences.values[:, spec.variables.index(name)])
        return np.bincount(stays.sequences.stay[seen], minlength=len(stays)) > 0
    if name in spec.numeric:
        return ~np.isnan(stays.numeric[:, spec.numeric.index(name)])
    return np.ones(len(stays), dtype=bool)


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
