import os

import numpy as np
import pytest
import torch

from medlstm.models.distribution import RemainingStay
from medlstm.models.ensemble import sharpened
from medlstm.settings.workspace import parse_config
from medlstm.training.fit_sharpness import fit_sharpness
from medlstm.training.sizes import Sizes, processes_for, sizes_for

CPU = torch.device("cpu")


def _config(**sections):
    return parse_config({"source": {"format": "physionet2012"}, **sections}, {}, "test")


@pytest.mark.parametrize(
    ("stays", "expected"),
    [
        (400, Sizes(5, 32, 20, 20_000)),
        (4_000, Sizes(5, 64, 18, 20_000)),
        (12_000, Sizes(5, 64, 8, 20_000)),
        (40_000, Sizes(3, 64, 8, 20_000)),
    ],
)
def test_sizes_follow_from_the_number_of_stays(stays, expected):
    assert sizes_for(stays, _config()) == expected


def test_what_the_configuration_names_is_taken_as_it_is():
    config = _config(
        model={"members": 2, "hidden_units": 7}, training={"max_epochs": 3, "table_rows": 500, "processes": 2}
    )
    assert sizes_for(1_000_000, config) == Sizes(2, 7, 3, 500)
    assert processes_for(10, 2, CPU, config) == 2
    assert processes_for(10, 1, CPU, config) == 1


def test_members_are_fitted_side_by_side_where_there_are_cores_and_work_for_them():
    cores = len(os.sched_getaffinity(0))
    assert processes_for(10_000_000, 5, CPU, _config()) == min(cores, 5)
    assert processes_for(1_000, 5, CPU, _config()) == 1
    assert processes_for(10_000_000, 5, torch.device("cuda"), _config()) == 1


def _curves(hazards):
    survival = np.concatenate([np.ones((len(hazards), 1)), np.cumprod(1 - hazards, axis=1)], axis=1)
    return RemainingStay(np.arange(survival.shape[1], dtype=float), 1.0, survival)


@pytest.mark.parametrize("truth", [0.9, 1.0, 1.3])
def test_the_sharpness_is_found_by_which_the_truth_differs_from_what_was_said(truth):
    generator = np.random.default_rng(0)
    logits = generator.normal(-1.5, 0.9, (6000, 1)) + np.zeros((1, 12))
    said = _curves(1 / (1 + np.exp(-logits)))
    usual = np.concatenate([[1.0], np.cumprod(np.full(12, 1 - 1 / (1 + np.exp(1.5))))])
    real = sharpened(torch.from_numpy(said.survival), torch.from_numpy(usual), truth).numpy()
    ends = (real > generator.uniform(size=(6000, 1))).sum(axis=1) - generator.uniform(size=6000)
    days = np.clip(ends, 0, 11.5)
    followup = np.where(ends > 11.5, days, np.inf)
    assert fit_sharpness(said, usual, days, followup, np.arange(6000)) == pytest.approx(truth, abs=0.08)
    few = slice(0, 10)
    of_few = _curves(1 / (1 + np.exp(-logits[few]))), usual, days[few], followup[few], np.arange(10)
    assert fit_sharpness(*of_few) == pytest.approx(1.0, abs=0.1)
    assert fit_sharpness(*of_few, is_blend=True) == pytest.approx(1.2, abs=0.01)
