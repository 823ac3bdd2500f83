"""Why a stay got its prediction: what changes when one input is hidden from the model (occlusion)."""

from copy import deepcopy

import numpy as np
import torch

from medlstm.models.ensemble import Ensemble
from medlstm.models.inputs import Hidden
from medlstm.models.predict import days_of
from medlstm.sequences.batches import Stays, batches_at
from medlstm.sequences.nightly_points import NightlyPoints


def occlusion_contributions(
    network: Ensemble, stays: Stays, points: NightlyPoints, device: torch.device
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of all inputs [k] and their contributions in days [m, k]: the prediction minus that without the input.

    A hidden variable is one never observed; a hidden number is unknown, which the model takes for the median. A
    hidden category is the mean over all stays' categories: a model that was never shown an unknown one would
    answer at random. Elapsed time is never hidden. In single precision: a contribution needs no more. Features are
    computed once, and only what an input makes of them is changed.
    """
    spec = network.spec
    names = (*spec.variables, *spec.numeric, *spec.categories)
    device = torch.device("cpu") if device.type == "mps" else device
    light = deepcopy(network).to(device, torch.float32).eval()
    hidings = _hidings(stays, network)
    known = [_known(stays, network, column)[points.stay] for column in range(len(names))]
    contributions = np.zeros((len(points.stay), len(names)))
    with torch.inference_mode():
        for within, batch, row, step in batches_at(stays, points, device):
            prepared = light.prepare(batch.inputs, row, step)
            whole = days_of(spec, light.answer(prepared))
            for column in range(len(names)):
                # Hiding what a stay never had changes nothing: such stays are not computed again.
                affected = np.flatnonzero(known[column][within])
                if not len(affected):
                    continue
                some = [one.of(torch.from_numpy(affected).to(device)) for one in prepared]
                for share, hidden in hidings[column]:
                    light.hide(some, hidden)
                    said = days_of(spec, light.answer(some))
                    contributions[within[affected], column] += share * (whole[affected] - said)
    return names, contributions


def _known(stays: Stays, network: Ensemble, column: int) -> np.ndarray:
    """The stays [n] bool in which the input is known at all; by its place, as a number may have a variable's name."""
    variables, numbers = len(network.spec.variables), len(network.spec.numeric)
    if column < variables:
        seen = ~np.isnan(stays.sequences.values[:, column])
        return np.bincount(stays.sequences.stay[seen], minlength=len(stays)) > 0
    if column < variables + numbers:
        unknown = np.isnan(stays.statics.numeric[:, column - variables])
        return np.add.reduceat(~unknown, stays.statics.bounds[:-1]) > 0
    return np.ones(len(stays), dtype=bool)


def _hidings(stays: Stays, network: Ensemble) -> list[list[tuple[float, Hidden]]]:
    """For each input what stands in for it, with the weight of each stand-in."""
    spec = network.spec
    hidings = [[(1.0, Hidden("variable", place))] for place in range(len(spec.variables))]
    hidings += [[(1.0, Hidden("number", place))] for place in range(len(spec.numeric))]
    for place in range(len(spec.categories)):
        now = stays.statics.codes[stays.statics.bounds[1:] - 1, place]
        codes, counts = np.unique(now, return_counts=True)
        shares = counts / max(len(stays), 1)
        hidings.append(
            [(float(share), Hidden("category", place, int(code))) for code, share in zip(codes, shares, strict=True)]
        )
    return hidings


def largest_reasons(names: tuple[str, ...], contributions: np.ndarray, count: int) -> list[list[dict[str, object]]]:
    """Per row of contributions [m, k] the `count` inputs that moved the prediction most, largest first."""
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
    return [
        [{"variable": names[column], "contribution_days": float(row[column])} for column in chosen]
        for row, chosen in zip(contributions, order, strict=True)
    ]
