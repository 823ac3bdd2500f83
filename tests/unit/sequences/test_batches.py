from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medlstm.errors import ModelUnavailable
from medlstm.evaluation.metrics import interval_coverage, mean_absolute_error
from medlstm.models.ensemble import Ensemble
from medlstm.models.predict import predict
from medlstm.models.spec import ModelSpec
from medlstm.sequences.batches import arrange, collate, ordered_batches, parts_of_like_length, shuffled_batches
from medlstm.sequences.nightly_points import NightlyPoints, last_points, nightly_points
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.training.known_points import points_known

CUTOFF = datetime(2026, 1, 11, tzinfo=UTC)
CPU = torch.device("cpu")


def _sequences(durations_hours, bin_hours=1):
    generator = np.random.default_rng(0)
    durations = np.asarray(durations_hours, dtype=np.float64)
    steps = np.maximum(np.floor(durations / bin_hours), 1).astype(np.int64)
    stay = np.repeat(np.arange(len(steps)), steps)
    step = np.concatenate([np.arange(count) for count in steps])
    values = generator.normal(size=(len(stay), 2)).astype(np.float32)
    values[generator.random(values.shape) < 0.4] = np.nan
    stays = pd.DataFrame(
        {
            "stay_id": [f"s{index}" for index in range(len(steps))],
            "admitted_at": pd.Timestamp("2026-01-02 18:00", tz="UTC").as_unit("us"),
            "duration_hours": durations,
            "is_open": False,
            "age": generator.normal(60, 10, len(steps)),
            "ward": ["a", "unheard of"] * (len(steps) // 2) + ["a"] * (len(steps) % 2),
        }
    )
    return StaySequences(stays, ("hr", "temp"), bin_hours, False, steps, np.zeros_like(steps), stay, step, values)


@pytest.fixture
def spec():
    return ModelSpec(
        name="lstm", head="hazard", inputs="clinical", hidden_units=6, layers=1, dropout=0.0, members=2,
        variables=("temp", "hr"), numeric=("age",), categories={"ward": ("a", "b")}, bin_hours=1, single_step=False,
    )  # fmt: skip


def test_target_is_the_time_from_the_close_of_a_step_to_the_discharge(spec):
    batch = collate(arrange(_sequences([3.5, 30.0]), spec), np.array([0, 1]), CPU)
    assert batch.remaining_days.shape == (2, 30)
    assert batch.remaining_days[0, :3].tolist() == pytest.approx([2.5 / 24, 1.5 / 24, 0.5 / 24])
    assert batch.remaining_days[1, 29] == 0.0
    assert batch.inputs.elapsed_hours[0].max() == 3.0
    assert batch.inputs.codes.tolist() == [[[0]], [[-1]]]
    assert torch.isnan(batch.inputs.values[0, 3:]).all()


def test_variables_are_brought_into_the_order_of_the_model(spec):
    sequences = _sequences([5.0])
    batch = collate(arrange(sequences, spec), np.array([0]), CPU)
    np.testing.assert_array_equal(batch.inputs.values[0, :, 1].numpy(), sequences.values[:, 0])


def test_nightly_points_are_the_midnights_inside_a_stay():
    # Admitted at 18:00: the first midnight closes hour 6, the second hour 30.
    points = nightly_points(_sequences([40.0, 3.0, 7.0]), CUTOFF)
    assert points.stay.tolist() == [0, 0, 2]
    assert points.step.tolist() == [5, 29, 5]
    assert points.remaining_days == pytest.approx([34 / 24, 10 / 24, 1 / 24])


def test_prediction_at_a_point_equals_scoring_the_stay_alone(spec):
    torch.manual_seed(0)
    network = Ensemble(spec).eval()
    sequences = _sequences([40.0, 3.0, 17.0, 8.0])
    together = predict(network, arrange(sequences, spec), last_points(sequences), CPU).days
    for index in range(4):
        one = sequences.select(np.arange(4) == index)
        alone = predict(network, arrange(one, spec), last_points(one), CPU).days
        assert alone[0] == pytest.approx(together[index], abs=1e-6)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=200), st.integers(1, 64))
def test_batches_hold_every_stay_once(lengths, size):
    steps = np.array(lengths)
    for batches in (shuffled_batches(len(steps), size, np.random.default_rng(1)), ordered_batches(steps, size)):
        assert sorted(np.concatenate(list(batches))) == list(range(len(steps)))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=200))
def test_parts_of_a_batch_hold_every_stay_once_and_are_of_like_length(lengths):
    steps = np.array(lengths)
    index = np.random.default_rng(1).permutation(len(steps))[: max(1, len(steps) // 2)]
    parts = parts_of_like_length(index, steps)
    assert sorted(np.concatenate(parts)) == sorted(index)
    for part in parts:
        assert steps[part].max() < 2 * steps[part].min()


def test_a_batch_is_of_no_particular_length():
    """Were batches of like length, their mean lengths would differ as much as the stays themselves do."""
    steps = np.repeat([10, 1000], 500)
    shares = [np.mean(steps[batch] == 10) for batch in shuffled_batches(len(steps), 50, np.random.default_rng(1))]
    assert len(shares) == 20
    assert 0.2 < min(shares) <= max(shares) < 0.8


def test_points_of_an_open_stay_are_known_as_far_as_it_went_on_beyond_the_horizon():
    sequences = _sequences([30.0, 30.0])
    sequences.stays["is_open"] = [False, True]
    points = NightlyPoints(np.array([0, 1, 1]), np.array([5, 5, 6]), np.array([1.0, 1.0, 23 / 24]))
    assert points_known(points, sequences).stay.tolist() == [0]
    known = points_known(points, sequences, horizon_days=1.0)
    assert (known.stay.tolist(), known.step.tolist()) == ([0, 1], [5, 5])
    with pytest.raises(ModelUnavailable, match="no discharged stay"):
        points_known(NightlyPoints(np.array([1]), np.array([6]), np.array([0.9])), sequences, horizon_days=1.0)


def test_metrics_refuse_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="same length"):
        mean_absolute_error(np.zeros(3), np.zeros((3, 1)))
    assert mean_absolute_error(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 1.5
    assert interval_coverage(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([1.0, 2.0])) == 0.5


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("hour", [7, 24])
def test_nightly_points_are_at_the_cutoffs_of_the_workspaces_own_zone(zone, hour):
    cutoff = datetime(2026, 1, 10 + hour // 24, hour % 24, tzinfo=ZoneInfo(zone))
    sequences = _sequences([100.0, 30.0, 9.0])
    points = nightly_points(sequences, cutoff)
    admitted = datetime(2026, 1, 2, 18, tzinfo=UTC)
    expected = []
    for stay, duration in enumerate([100.0, 30.0, 9.0]):
        for days in range(30, -1, -1):
            lasted = (cutoff - timedelta(days=days) - admitted).total_seconds() / 3600
            # A step must have closed by the night, and the stay still be going on.
            if 0 <= lasted < duration:
                expected.append((stay, max(int(lasted), 1) - 1))
    assert list(zip(points.stay.tolist(), points.step.tolist(), strict=True)) == expected
