import numpy as np
import pytest

from medlstm.models.distribution import RemainingStay


def _draws(remaining, count, generator):
    """Stays that end as the distribution says: evenly within a bin, at a constant rate beyond the last edge."""
    levels = generator.uniform(size=count)
    many = RemainingStay(remaining.edges_days, remaining.tail_days, np.repeat(remaining.survival, count, axis=0))
    return many.quantile(levels)


@pytest.mark.parametrize("tail_days", [0.0, 4.0])
@pytest.mark.parametrize("days", [-1.5, 0.0, 0.7, 3.0, 9.0])
def test_the_expected_error_is_the_mean_over_stays_that_end_as_was_said(days, tail_days):
    generator = np.random.default_rng(0)
    last = 0.2 if tail_days else 0.0
    remaining = RemainingStay(np.array([0.0, 0.5, 2.0, 6.0]), tail_days, np.array([[1.0, 0.7, 0.4, last]]))
    ends = _draws(remaining, 200_000, generator)
    assert remaining.expected_error(np.array([days]))[0] == pytest.approx(np.abs(ends - days).mean(), rel=0.01)


def test_what_is_expected_of_an_open_stay_is_given_how_long_it_has_gone_on():
    generator = np.random.default_rng(1)
    remaining = RemainingStay(np.array([0.0, 0.5, 2.0, 6.0]), 4.0, np.array([[1.0, 0.7, 0.4, 0.2]]))
    ends = _draws(remaining, 400_000, generator)
    for so_far in (0.3, 2.0, 7.0):
        later = ends[ends > so_far]
        said = remaining.after(np.array([so_far])).expected_error(np.array([1.4 - so_far]))[0]
        assert said == pytest.approx(np.abs(later - 1.4).mean(), rel=0.03)
