"""Death and discharge as two kinds of end: what tells them apart is learnt, and nothing else changes."""

import numpy as np
import pytest
import torch

from medlstm.models.distribution import kaplan_meier
from medlstm.models.ensemble import build_member
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableRows

EDGES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


def _member(name, **changes):
    base = {
        "name": name, "head": "hazard", "inputs": "clinical", "hidden_units": 8, "layers": 1, "dropout": 0.0,
        "members": 1, "mortality": True, "edges_days": EDGES, "tail_days": 5.0, "variables": ("hr",), "numeric": (),
        "categories": {}, "bin_hours": 1, "single_step": False, "two_ends": True, "parts": (),
    }  # fmt: skip
    return build_member(ModelSpec(**(base | changes)))


def _rows(count=6000, share_unknown=0.0):
    """The higher the first feature, the later the discharge and the sooner the death; the second makes it likely."""
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(count, 2, generator=generator).double()
    died = torch.rand(count, generator=generator) < torch.sigmoid(2 * features[:, 1] - 1).float()
    error = torch.logit(torch.rand(count, generator=generator).double()) * 0.2
    centre = torch.where(died, 0.9 - 0.4 * features[:, 0], 1.6 + 0.3 * features[:, 0])
    days = torch.expm1((centre + error).clamp(min=0.01))
    followup = 25 * torch.rand(count, generator=generator).double()
    censored = days > followup
    unknown = censored | (torch.rand(count, generator=generator) < share_unknown)
    died = torch.where(unknown, torch.nan, died.double())
    return TableRows(features, torch.minimum(days, followup), censored, died)


def test_accelerated_failure_time_finds_the_weights_of_both_ends_though_open_stays_have_none_yet():
    rows = _rows()
    member = _member("aft")
    member.fit_rows(rows, seed=0)
    assert member.weights.tolist() == pytest.approx([0.3, 0.0], abs=0.08)
    assert member.death_weights.tolist() == pytest.approx([-0.4, 0.0], abs=0.08)
    assert float(member.bias) == pytest.approx(1.6, abs=0.12)
    assert float(member.death_bias) == pytest.approx(0.9, abs=0.12)


@pytest.mark.parametrize("name", ["aft", "gbm"])
def test_the_sickest_die_soon_and_the_sick_who_live_stay_long(name):
    """With one end, long stays and early deaths cancel; the curve has both."""
    rows = _rows()
    member = _member(name)
    member.fit_rows(rows, seed=0)
    said = member.predict_rows(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]).double())
    sick_dying, sick_living, well_dying, well_living = said.days.tolist()
    assert sick_dying < well_dying - 0.5
    assert sick_living > well_living + 1.0
    assert said.survival[:, 0].tolist() == [1.0] * 4
    assert (said.survival.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("name", ["aft", "gbm"])
def test_the_mean_of_the_curves_stays_the_product_limit_curve(name):
    rows = _rows(share_unknown=0.2)
    member = _member(name)
    member.fit_rows(rows, seed=0)
    mean = member.predict_rows(rows.features).survival.mean(dim=0)
    usual = kaplan_meier(rows.days.numpy(), rows.censored.numpy(), np.array(EDGES))
    np.testing.assert_allclose(mean.numpy(), usual, atol=0.04)


@pytest.mark.parametrize("name", ["aft", "gbm"])
@pytest.mark.parametrize("end", [0.0, float("nan")])
def test_where_no_death_is_known_two_ends_are_one(name, end):
    rows = _rows(1000)
    rows = TableRows(rows.features, rows.days, rows.censored, torch.full((1000,), end, dtype=torch.float64))
    said = []
    for two_ends in (True, False):
        member = _member(name, two_ends=two_ends)
        member.fit_rows(rows, seed=0)
        said.append(member.predict_rows(rows.features).survival)
    torch.testing.assert_close(*said, atol=1e-9, rtol=0)


def test_a_hazard_of_boosting_is_the_sum_of_both_ends():
    rows = _rows(2000)
    member = _member("gbm")
    member.fit_rows(rows, seed=0)
    places = torch.arange(len(EDGES) - 1).double()
    of_ends = [torch.sigmoid(trees.at_each(rows.features, places)) for trees in (member.hazard, member.death_hazard)]
    survival = member.predict_rows(rows.features).survival
    torch.testing.assert_close(1 - survival[:, 1:] / survival[:, :-1], sum(of_ends).clamp(max=1 - 1e-6))
