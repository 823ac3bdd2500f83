import numpy as np
import pandas as pd
import pytest

from medlstm.evaluation.baseline import fit_baseline


def _product_limit(days, is_open, at):
    """Survival at `at`, one discharge after the other, as the book says it."""
    survival = 1.0
    for moment in np.unique(days[~is_open]):
        if moment <= at:
            survival *= 1 - ((days == moment) & ~is_open).sum() / (days >= moment).sum()
    return survival


def _stays(count=3000, seed=0):
    generator = np.random.default_rng(seed)
    ward = generator.choice(["long", "short", "tiny"], count, p=[0.5, 0.495, 0.005])
    los = generator.lognormal(np.where(ward == "short", 0.7, 2.0), 0.6)
    known = generator.uniform(0, 25, count)
    return pd.DataFrame(
        {"duration_hours": np.minimum(los, known) * 24, "is_open": known < los, "ward": ward, "los": los}
    )


@pytest.mark.parametrize(
    ("ward", "elapsed"), [("long", 0.0), ("long", 1.5), ("long", 5.0), ("long", 9.0), ("short", 0.0), ("short", 2.5)]
)
def test_the_median_of_what_remains_is_where_the_wards_curve_has_fallen_by_half(ward, elapsed):
    stays = _stays()
    baseline = fit_baseline(stays, "ward")
    of_ward = stays[stays["ward"] == ward]
    days, is_open = of_ward["duration_hours"].to_numpy() / 24, of_ward["is_open"].to_numpy()
    said = baseline.remaining(pd.DataFrame({"ward": [ward]}), np.array([elapsed])).median()[0]
    reached = _product_limit(days, is_open, elapsed)
    assert _product_limit(days, is_open, elapsed + said) / reached == pytest.approx(0.5, abs=0.03)


def test_a_ward_with_too_few_discharged_or_none_that_is_known_takes_the_pooled_curve():
    stays = _stays()
    baseline, pooled = fit_baseline(stays, "ward"), fit_baseline(stays, None)
    assert {one.group for one in baseline.groups} == {"long", "short"}
    strangers = pd.DataFrame({"ward": ["tiny", "never seen", None]})
    elapsed = np.array([2.0, 2.0, 2.0])
    np.testing.assert_array_equal(
        baseline.remaining(strangers, elapsed).median(), pooled.remaining(strangers, elapsed).median()
    )
    np.testing.assert_array_equal(
        fit_baseline(stays, "no_such_column").remaining(strangers, elapsed).median(),
        pooled.remaining(strangers, elapsed).median(),
    )


def test_it_beats_the_constant_median_where_wards_and_days_so_far_differ():
    stays = _stays()
    baseline = fit_baseline(stays, "ward")
    others = _stays(seed=1)
    # Every midnight of every stay, as a night asks.
    nights = np.ceil(others["los"]).astype(int)
    others = others.loc[others.index.repeat(nights)]
    elapsed = np.concatenate([np.arange(one) for one in nights]).astype(float)
    actual = others["los"].to_numpy() - elapsed
    said = baseline.remaining(others, elapsed)
    assert np.abs(said.median() - actual).mean() < 0.9 * np.abs(np.median(actual) - actual).mean()
    assert np.mean(said.ended_within(1.0)) == pytest.approx(np.mean(actual <= 1), abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 12, 40])
def test_a_handful_of_stays_gives_finite_days_however_long_a_stay_has_lasted(count):
    stays = _stays(count, seed=3).assign(is_open=[False] * count)
    baseline = fit_baseline(stays, "ward")
    said = baseline.remaining(pd.DataFrame({"ward": ["long"] * 3}), np.array([0.0, 3.0, 400.0]))
    assert np.isfinite(said.median()).all()
    assert (said.median() >= 0).all()
    assert np.isfinite(said.mean()).all()
