"""What must hold of every model, each with the broken version that it is there to catch."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medlstm.evaluation.metrics import los_kappa
from medlstm.models.distribution import RemainingStay, kaplan_meier
from medlstm.models.predict import predict
from medlstm.models.step_network import StepNetwork
from medlstm.sequences.batches import arrange, batches_at
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.model_names import model_names
from medlstm.settings.workspace import parse_config
from medlstm.training.fit_ensemble import fit_model
from medlstm.training.known_points import groups_at

CPU = torch.device("cpu")
BIN_HOURS = 12


def _config(name="lstm", **sections):
    base = {
        "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
        "features": {"numeric": ["age"], "categorical": ["ward"]},
        "model": {
            "name": name, "members": 1, "hidden_units": 8, "layers": 1, "dropout": 0.0, "mortality": True,
            "sharpness": 1.0,
        },
        "training": {"min_stays": 20, "max_epochs": 8, "learning_rate": 0.01, "batch_size": 64},
    }
    return parse_config({key: value | sections.get(key, {}) for key, value in base.items()}, {}, "test")


def _stays(durations_hours, is_open, values_of=None, seed=0, single_step=False):
    """Stays with two noise variables and noise statics; `values_of(stay, step)` gives a third variable."""
    generator = np.random.default_rng(seed)
    count = len(durations_hours)
    steps = np.ones(count, dtype=np.int64) if single_step else np.maximum(durations_hours // BIN_HOURS, 1).astype(int)
    stay = np.repeat(np.arange(count), steps)
    step = np.concatenate([np.arange(one) for one in steps])
    values = generator.normal(size=(len(stay), 2)).astype(np.float32)
    values[generator.random(values.shape) < 0.3] = np.nan
    if values_of is not None:
        values = np.column_stack([values, values_of(stay, step)]).astype(np.float32)
    frame = pd.DataFrame(
        {
            "stay_id": [f"s{index}" for index in range(count)],
            "patient_id": [f"p{index}" for index in range(count)],
            "admitted_at": pd.Timestamp("2026-01-02", tz="UTC").as_unit("us"),
            "duration_hours": durations_hours.astype(float),
            "is_open": is_open,
            "died": generator.random(count) < 0.2,
            "age": generator.normal(60, 10, count),
            "ward": generator.choice(["a", "b"], count),
            "split": generator.choice(["train", "validation", "calibration", "test"], count, p=[0.5, 0.1, 0.15, 0.25]),
        }
    )
    names = ("hr", "temp", "extra")[: values.shape[1]]
    return StaySequences(frame, names, BIN_HOURS, single_step, steps, np.zeros(count, dtype=int), stay, step, values)


def _every_day(sequences):
    """A point at the end of each full day of a stay; the first step of stays that have none."""
    if sequences.single_step:
        return NightlyPoints(
            np.arange(len(sequences)), np.zeros(len(sequences), dtype=int),
            sequences.stays["duration_hours"].to_numpy() / 24,
        )  # fmt: skip
    days = np.maximum(sequences.steps // 2, 1)
    stay = np.repeat(np.arange(len(sequences)), days)
    step = 2 * (np.arange(days.sum()) - np.repeat(np.cumsum(days) - days, days)) + 1
    step = np.minimum(step, sequences.steps[stay] - 1)
    remaining = sequences.stays["duration_hours"].to_numpy()[stay] - (step + 1) * BIN_HOURS
    return NightlyPoints(stay, step, np.maximum(remaining, 0) / 24)


@pytest.mark.parametrize("name", model_names())
def test_nothing_after_the_moment_of_a_prediction_changes_it(name):
    """Later values, the discharge and the death are made up anew for the predicted stays: equal bit for bit."""
    generator = np.random.default_rng(1)
    sequences = _stays(generator.uniform(48, 120, 200), np.zeros(200, dtype=bool))
    config = _config(name, training={"max_epochs": 1})
    fitted = fit_model(sequences, _every_day, config)
    asked = NightlyPoints(np.arange(200), np.full(200, 2), np.zeros(200))
    before = predict(fitted.network, arrange(sequences, fitted.spec), asked, CPU)
    later = sequences.step > 2
    changed = replace(
        sequences,
        values=np.where(later[:, None], 55.0, sequences.values).astype(np.float32),
        stays=sequences.stays.assign(
            duration_hours=sequences.stays["duration_hours"] + 200, died=~sequences.stays["died"], is_open=True
        ),
    )
    after = predict(fitted.network, arrange(changed, fitted.spec), asked, CPU)
    np.testing.assert_array_equal(before.remaining.survival, after.remaining.survival)
    np.testing.assert_array_equal(before.mortality, after.mortality)
    at_once = replace(sequences, values=np.where(later[:, None], sequences.values, 55.0).astype(np.float32))
    if name != "median":
        other = predict(fitted.network, arrange(at_once, fitted.spec), asked, CPU)
        assert not np.array_equal(before.remaining.survival, other.remaining.survival)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device to compare with the CPU")
@pytest.mark.parametrize("name", model_names())
def test_a_gpu_predicts_and_trains_as_the_cpu_does(name):
    """Predictions of the same weights within 1e-4; weights that were trained there predict on the CPU."""
    generator = np.random.default_rng(1)
    sequences = _stays(generator.uniform(48, 120, 200), np.zeros(200, dtype=bool))
    asked, cuda = _every_day(sequences), torch.device("cuda")
    fitted = fit_model(sequences, _every_day, _config(name, training={"max_epochs": 2, "device": "cuda"}))
    stays = arrange(sequences, fitted.spec)
    on_cpu = predict(fitted.network, stays, asked, CPU)
    on_gpu = predict(fitted.network.to(cuda), stays, asked, cuda)
    np.testing.assert_allclose(on_gpu.remaining.survival, on_cpu.remaining.survival, atol=1e-4)
    np.testing.assert_allclose(on_gpu.days, on_cpu.days, atol=1e-4)
    np.testing.assert_allclose(on_gpu.mortality, on_cpu.mortality, atol=1e-4)


@pytest.mark.parametrize("name", model_names())
def test_predictions_hardly_depend_on_the_precision_they_are_computed_in(name):
    """Predictions are computed in double precision on the CPU and on CUDA, whose sums differ in their order alone. In
    single precision, whose rounding is half a billion times as coarse, they are still the same within 1e-4."""
    generator = np.random.default_rng(1)
    sequences = _stays(generator.uniform(48, 120, 200), np.zeros(200, dtype=bool))
    asked = _every_day(sequences)
    fitted = fit_model(sequences, _every_day, _config(name, training={"max_epochs": 2}))
    stays = arrange(sequences, fitted.spec)
    double = predict(fitted.network, stays, asked, CPU)
    single = predict(fitted.network, stays, asked, CPU, torch.float32)
    np.testing.assert_allclose(single.remaining.survival, double.remaining.survival, atol=1e-4)
    np.testing.assert_allclose(single.days, double.days, atol=1e-4)
    np.testing.assert_allclose(single.mortality, double.mortality, atol=1e-4)


@pytest.mark.parametrize("name", model_names())
def test_all_that_a_prediction_needs_is_on_the_networks_device(name):
    """On PyTorch's meta device, where a tensor has a place and no values: one left on the CPU would raise, as it would
    on a GPU."""
    generator = np.random.default_rng(1)
    sequences = _stays(generator.uniform(48, 120, 200), np.zeros(200, dtype=bool))
    fitted = fit_model(sequences, _every_day, _config(name, training={"max_epochs": 1}))
    stays, asked, meta = arrange(sequences, fitted.spec), _every_day(sequences), torch.device("meta")
    network = fitted.network.to(meta)
    for _, batch, row, step in batches_at(stays, asked, meta):
        said = network.at(batch.inputs, row, step)
        assert said.days.device == said.survival.device == said.mortality.device == meta
        for member in network.each():
            if isinstance(member, StepNetwork):
                output = member(batch.inputs)
                member.head.loss(output.remaining, batch.remaining_days, batch.censored).sum().backward()
                assert all(one.grad.device == meta for one in member.output.parameters())


def _kappa_beyond_elapsed_time(sequences):
    """Bootstrap bounds, over stays, of the model's kappa less that of the best guess from elapsed time alone."""
    fitted = fit_model(sequences, _every_day, _config())
    train, test = (sequences.select((sequences.stays["split"] == name).to_numpy()) for name in ("train", "test"))
    edges = np.array(fitted.spec.edges_days)
    known, asked = _every_day(train), _every_day(test)
    predicted = predict(fitted.network, arrange(test, fitted.spec), asked, CPU).days
    band_of = [np.minimum(elapsed_days(part, at), 8).astype(int) for part, at in ((train, known), (test, asked))]
    guess = np.empty(len(asked.stay))
    for band in np.unique(band_of[1]):
        inside = known.remaining_days[band_of[0] == band]
        curve = kaplan_meier(inside, np.zeros(len(inside), dtype=bool), edges)
        guess[band_of[1] == band] = RemainingStay(edges, fitted.spec.tail_days, curve[None, :]).median()[0]
    generator = np.random.default_rng(0)
    stays = [np.flatnonzero(asked.stay == stay) for stay in range(len(test))]
    differences = []
    for _ in range(100):
        rows = np.concatenate([stays[one] for one in generator.integers(0, len(stays), len(stays))])
        actual = asked.remaining_days[rows]
        differences.append(los_kappa(predicted[rows], actual) - los_kappa(guess[rows], actual))
    return np.quantile(differences, [0.025, 0.975])


def test_canary_noise_gives_no_better_kappa_than_elapsed_time():
    generator = np.random.default_rng(2)
    durations = np.clip(generator.lognormal(4.3, 0.7, 900), 24, 600)
    low, high = _kappa_beyond_elapsed_time(_stays(durations, np.zeros(900, dtype=bool)))
    assert low <= 0.02
    assert high >= -0.1


def test_canary_dies_of_a_leak():
    generator = np.random.default_rng(2)
    durations = np.clip(generator.lognormal(4.3, 0.7, 900), 24, 600)
    leaking = _stays(durations, np.zeros(900, dtype=bool), lambda stay, step: np.log(durations[stay]))
    low, _ = _kappa_beyond_elapsed_time(leaking)
    assert low > 0.1


@pytest.mark.parametrize(("name", "count"), [("lstm", 3000), ("gbm", 1600)])
def test_survival_is_recovered_with_half_of_the_stays_censored_and_biased_without_them(name, count):
    """Exponential stays with a mean of 4 days in one ward and 8 in the other, watched for a random time."""
    generator = np.random.default_rng(3)
    sequences = _stays(np.ones(count), np.zeros(count, dtype=bool), single_step=True)
    mean = np.where(sequences.stays["ward"] == "a", 4.0, 8.0)
    true, watched = generator.exponential(mean), generator.exponential(mean)
    censored = watched < true
    assert 0.45 < censored.mean() < 0.55
    sequences.stays["duration_hours"] = np.minimum(true, watched) * 24
    sequences.stays["is_open"] = censored
    asked = np.array([1.0, 2.0, 4.0, 8.0])

    def error(of):
        fitted = fit_model(of, _every_day, _config(name, training={"max_epochs": 15}))
        said = predict(fitted.network, arrange(sequences, fitted.spec), _every_day(sequences), CPU)
        curves = np.stack([1 - said.remaining.ended_within(days) for days in asked], axis=1)
        errors = [
            curves[(mean == ward).astype(bool)].mean(axis=0) - np.exp(-asked / ward) for ward in (4.0, 8.0)
        ]
        return np.concatenate(errors)

    assert np.abs(error(sequences)).max() < 0.07
    assert error(sequences.select(~censored)).min() < -0.15


def test_coverage_of_ninety_percent_on_the_next_stays_and_in_each_large_subgroup():
    generator = np.random.default_rng(4)
    count = 6000
    sequences = _stays(np.ones(count), np.zeros(count, dtype=bool), single_step=True)
    spread = np.where(sequences.stays["ward"] == "a", 0.4, 0.9)
    level = 1.2 + 0.02 * (sequences.stays["age"] - 60)
    sequences.stays["duration_hours"] = 24 * np.exp(level + spread * generator.normal(size=count))
    fitted = fit_model(sequences, _every_day, _config())
    test = sequences.select((sequences.stays["split"] == "test").to_numpy())
    asked = _every_day(test)
    said = predict(fitted.network, arrange(test, fitted.spec), asked, CPU)
    lower, upper = fitted.interval.bounds(said, np.zeros(len(test)), groups_at(asked, test, fitted.spec))
    inside = (asked.remaining_days >= lower) & (asked.remaining_days <= upper)
    assert 0.87 <= inside.mean() <= 0.93
    old = (test.stays["age"] > 60).to_numpy()
    for group in (old, ~old, (test.stays["ward"] == "a").to_numpy(), (test.stays["ward"] == "b").to_numpy()):
        assert group.sum() >= 300
        assert 0.85 <= inside[group].mean() <= 0.95
