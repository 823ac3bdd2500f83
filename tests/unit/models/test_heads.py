import numpy as np
import pytest
import torch

from medlstm.models.distribution import RemainingStay, fit_edges, kaplan_meier, kaplan_meier_median
from medlstm.models.heads import HazardHead, QuantileHead, RegressionHead, build_head

EDGES = (0.0, 1.0, 2.0, 4.0, 8.0)
HEADS = ("hazard", "quantile", "smooth_log", "mse", "mae", "msle")


@pytest.mark.parametrize("name", ["smooth_log", "mse", "mae", "msle"])
def test_regression_head_decodes_what_it_encodes_and_perfect_output_costs_nothing(name):
    head = RegressionHead(name)
    days = torch.tensor([0.0, 0.5, 12.0])
    output = head.encode(days).unsqueeze(-1)
    torch.testing.assert_close(head.days(output), days)
    assert head.loss(output, days, torch.zeros(3, dtype=torch.bool)).abs().max() < 1e-6


@pytest.mark.parametrize("name", ["smooth_log", "mse", "mae", "msle"])
def test_censored_step_costs_only_below_what_is_known_to_remain(name):
    head = RegressionHead(name)
    output = head.encode(torch.tensor([1.0, 9.0])).unsqueeze(-1).requires_grad_()
    head.loss(output, torch.tensor([4.0, 4.0]), torch.tensor([True, True])).sum().backward()
    assert output.grad is not None
    assert output.grad[0] < 0
    assert output.grad[1] == 0


@pytest.mark.parametrize("name", HEADS)
def test_shapes_that_would_broadcast_are_refused(name):
    head = build_head(name, EDGES)
    with pytest.raises(ValueError, match="shapes differ"):
        head.loss(torch.zeros(4, 1, head.outputs), torch.zeros(4), torch.zeros(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="shapes differ"):
        head.loss(torch.zeros(4, head.outputs + 1), torch.zeros(4), torch.zeros(4, dtype=torch.bool))


def test_hazard_likelihood_by_hand():
    head = HazardHead(EDGES, score_weight=0.0)
    logits = torch.logit(torch.tensor([0.1, 0.2, 0.5, 0.3]))
    output = logits.expand(4, -1)
    days = torch.tensor([0.0, 3.0, 3.0, 9.0])
    censored = torch.tensor([False, False, True, False])
    wanted = [
        -np.log(0.1),
        -np.log(0.9 * 0.8 * 0.5),
        -np.log(0.9 * 0.8) - 0.5 * np.log(0.5),
        -np.log(0.9 * 0.8 * 0.5 * 0.7),
    ]
    torch.testing.assert_close(head.loss(output, days, censored), torch.tensor(wanted, dtype=torch.float32))
    torch.testing.assert_close(
        head.survival(output)[0], torch.tensor([1, 0.9, 0.72, 0.36, 0.252], dtype=torch.float64), rtol=1e-6, atol=1e-6
    )


def test_the_true_hazard_has_the_least_loss_under_censoring():
    generator = torch.Generator().manual_seed(0)
    days = -4 * torch.log(torch.rand(20000, generator=generator))
    limit = -6 * torch.log(torch.rand(20000, generator=generator))
    censored = limit < days
    seen = torch.minimum(days, limit)
    head = HazardHead(EDGES)
    width = torch.tensor(EDGES).diff()
    true = torch.logit(1 - torch.exp(-width / 4))

    def loss(logits):
        return float(head.loss(logits.expand(20000, -1), seen, censored).mean())

    for shift in (-0.3, 0.3):
        assert loss(true) < loss(true + shift)


def test_the_true_hazard_has_the_least_score_when_a_night_cuts_all_stays():
    """Short stays have ended and long ones have not; only with the follow-up is the ranked probability score fair."""
    generator = torch.Generator().manual_seed(0)
    days = -4 * torch.log(torch.rand(40000, generator=generator))
    followup = 9 * torch.rand(40000, generator=generator)
    censored, seen = days > followup, torch.minimum(days, followup)
    head = HazardHead(EDGES, score_weight=1e4)
    true = torch.logit(1 - torch.exp(-torch.tensor(EDGES).diff() / 4))

    def loss(logits, known):
        return float(head.loss(logits.expand(40000, -1), seen, censored, known).mean())

    for shift in (-0.2, 0.2):
        assert loss(true, followup) < loss(true + shift, followup)
    assert loss(true, None) > loss(true + 0.2, None)


@pytest.mark.parametrize("name", ["hazard", "quantile"])
def test_start_is_the_distribution_of_all(name):
    days = torch.linspace(0.05, 12, 400)
    head = build_head(name, EDGES)
    output = head.start(days, torch.zeros(400, dtype=torch.bool))
    curve = head.survival(output.unsqueeze(0))[0]
    wanted = torch.tensor([float((days > edge).double().mean()) for edge in EDGES], dtype=torch.float64)
    wanted[0] = 1.0
    torch.testing.assert_close(curve, wanted, rtol=0, atol=0.03)


def test_quantiles_do_not_cross_and_pinball_is_least_at_the_truth():
    head = QuantileHead(EDGES)
    output = torch.randn(50, head.outputs, generator=torch.Generator().manual_seed(0)) * 3
    assert (head.quantiles(output).diff(dim=-1) >= 0).all()
    days = torch.rand(5000, generator=torch.Generator().manual_seed(1)) * 10
    right = head.start(days, torch.zeros(5000, dtype=torch.bool)).expand(5000, -1)
    known = torch.zeros(5000, dtype=torch.bool)
    shifted = right.clone()
    shifted[:, 0] += 0.2
    assert head.loss(right, days, known).mean() < head.loss(shifted, days, known).mean()


def _exponential(rate):
    edges = np.linspace(0, 40, 401)
    return RemainingStay(edges, 1 / rate, np.exp(-rate * edges)[None, :])


def test_all_readings_of_one_known_distribution():
    stay = _exponential(0.25)
    assert stay.median()[0] == pytest.approx(np.log(2) / 0.25, rel=1e-3)
    assert stay.mean()[0] == pytest.approx(4.0, rel=1e-3)
    assert stay.quantile(0.9)[0] == pytest.approx(-np.log(0.1) / 0.25, rel=1e-3)
    assert stay.quantile(1 - 1e-8)[0] == pytest.approx(-np.log(1e-8) / 0.25, rel=1e-3)
    assert stay.quantile(0.0)[0] == 0
    assert np.isinf(stay.quantile(1.0)[0])
    assert stay.ended_within(2.0)[0] == pytest.approx(1 - np.exp(-0.5), rel=1e-3)
    assert stay.ended_within(60.0)[0] == pytest.approx(1 - np.exp(-15), rel=1e-6)
    # An exponential stay forgets what has passed.
    assert stay.after(np.array([3.0])).median()[0] == pytest.approx(stay.median()[0], rel=1e-3)


def test_nothing_lies_beyond_a_horizon():
    stay = RemainingStay(np.array([0.0, 2.0, 7.0]), 0.0, np.array([[1.0, 0.8, 0.6]]))
    assert stay.median()[0] == 7.0
    assert stay.quantile(1.0)[0] == 7.0
    assert stay.mean()[0] == pytest.approx(2 * 0.9 + 5 * 0.7)
    assert stay.ended_within(7.0)[0] == pytest.approx(0.4)
    assert stay.ended_within(7.1)[0] == 1.0


def test_quantile_undoes_the_distribution_function():
    generator = np.random.default_rng(0)
    survival = np.sort(generator.random((50, 4)), axis=1)[:, ::-1]
    stay = RemainingStay(np.array(EDGES), 3.0, np.column_stack([np.ones(50), survival]))
    level = generator.random(50)
    np.testing.assert_allclose(stay.ended_within(stay.quantile(level)), level, atol=1e-9)
    with pytest.raises(ValueError, match="does not fit"):
        RemainingStay(np.array(EDGES), 3.0, survival)


def test_edges_lie_between_whole_days_and_end_at_the_horizon():
    days = np.random.default_rng(0).integers(1, 30, 2000).astype(float)
    ended = np.zeros(2000, dtype=bool)
    edges, tail = fit_edges(days, ended, 24)
    assert edges[0] == 0
    assert {edge % 1 for edge in edges[1:]} == {0.5}
    assert tail > 0
    within, none = fit_edges(days, ended, 24, horizon_days=7.0)
    assert within[-1] == 7.0
    assert none == 0.0
    for few in (np.array([]), np.array([2.0]), np.zeros(5), np.array([1.0, 1.0, 2.0])):
        edges, _ = fit_edges(few, np.zeros(len(few), dtype=bool), 24)
        assert len(edges) >= 2
        assert (np.diff(edges) > 0).all()


def test_edges_and_tail_are_those_of_all_stays_though_the_short_ones_have_ended():
    generator = np.random.default_rng(0)
    days, followup = generator.exponential(6.0, 20_000), generator.uniform(0, 25, 20_000)
    censored = days > followup
    whole, tail = fit_edges(days, np.zeros(20_000, dtype=bool), 12)
    seen, seen_tail = fit_edges(np.minimum(days, followup), censored, 12)
    ended, ended_tail = fit_edges(days[~censored], np.zeros((~censored).sum(), dtype=bool), 12)
    assert seen[:9] == pytest.approx(whole[:9], rel=0.08)
    assert seen_tail == pytest.approx(6.0, rel=0.15)
    assert tail == pytest.approx(6.0, rel=0.15)
    assert ended[6] < 0.8 * whole[6]
    assert ended_tail < 4.0


def test_median_of_censored_times():
    generator = np.random.default_rng(0)
    days, followup = generator.exponential(6.0, 20_000), generator.uniform(0, 25, 20_000)
    seen, censored = np.minimum(days, followup), days > followup
    assert kaplan_meier_median(seen, censored) == pytest.approx(6 * np.log(2), rel=0.03)
    assert np.median(days[~censored]) < 0.8 * 6 * np.log(2)
    assert kaplan_meier_median(np.array([3.0, 1.0, 2.0]), np.zeros(3, dtype=bool)) == 2.0
    assert kaplan_meier_median(np.array([3.0, 1.0, 9.0]), np.array([True, False, True])) == 1.0
    assert kaplan_meier_median(np.array([3.0, 5.0]), np.array([True, True])) == 4.0


def test_product_limit_by_hand():
    days, censored = np.array([1.0, 2.0, 2.0, 3.0, 5.0]), np.array([False, False, True, False, True])
    curve = kaplan_meier(days, censored, np.array([0.0, 1.0, 2.0, 4.0, 9.0]))
    assert curve == pytest.approx([1, 4 / 5, 4 / 5 * 3 / 4, 4 / 5 * 3 / 4 / 2, 4 / 5 * 3 / 4 / 2])
