from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from medlstm import tables
from medlstm.config import parse_config
from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.gate import decide
from medlstm.lake import Workspace, partition_file, read_table, write_table
from medlstm.registry import champion, load_network, load_records, save_model, training_due
from medlstm.scoring import score_night
from medlstm.sequences import build_sequences, load_sequences
from medlstm.training import train_model

START = date(2026, 1, 1)
LAST = START + timedelta(days=29)


def _config(**sections):
    base = {
        "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
        "features": {"numeric": ["age"], "categorical": ["ward"]},
        "sequences": {"bin_hours": 6, "shards": 2},
        "model": {"hidden_units": 16, "layers": 1, "dropout": 0.0},
        "training": {"min_stays": 20, "max_epochs": 12, "learning_rate": 0.01, "batch_size": 32},
    }
    return parse_config({name: section | sections.get(name, {}) for name, section in base.items()}, {}, "test")


def _workspace(root, stays=400):
    """A lake in which the variable `severity` says at each moment how many days remain, with some noise."""
    generator = np.random.default_rng(3)
    place = Workspace(root)
    stay_rows, observation_rows = {}, {}
    for index in range(stays):
        admitted = datetime.combine(START, datetime.min.time()) + timedelta(hours=int(generator.integers(0, 28 * 24)))
        hours = float(generator.lognormal(4.2, 0.6))
        discharged = admitted + timedelta(hours=hours)
        age, ward = float(generator.normal(60, 10)), ("a", "b")[index % 2]
        known = [(admitted.date(), None)]
        if discharged.date() <= LAST:
            known.append((discharged.date(), discharged))
        for day, end in known:
            stay_rows.setdefault(day, []).append((f"s{index}", f"p{index}", admitted, end, None, age, ward))
        for hour in range(0, int(hours), 8):
            at = admitted + timedelta(hours=hour)
            if at.date() <= LAST:
                left = (hours - hour) / 24 + generator.normal(0, 0.3)
                observation_rows.setdefault(at.date(), []).append((f"s{index}", at, "severity", left))
    _write(place, "stays", stay_rows, tables.stays_schema(["age"], ["ward"]))
    _write(place, "observations", observation_rows, tables.OBSERVATIONS_SCHEMA)
    return place


def _write(place, table, by_day, schema):
    for day, rows in by_day.items():
        records = [
            dict(zip(schema.names, (*row, day, "file", index), strict=True)) for index, row in enumerate(rows)
        ]
        write_table(pa.Table.from_pylist(records, schema=schema), partition_file(place.admitted(table), day))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place, config = _workspace(tmp_path_factory.mktemp("lake")), _config()
    build_sequences(place, LAST, config, "all")
    epochs = []
    model = train_model(
        load_sequences(place.sequences(LAST)), config, config.cutoff_instant(LAST),
        lambda loss, most: epochs.append((loss.epoch, most)),
    )  # fmt: skip
    assert [epoch for epoch, _ in epochs] == list(range(1, len(epochs) + 1))
    return place, config, model


def test_model_beats_the_median_by_far_where_the_answer_is_in_the_data(trained):
    _, _, model = trained
    assert model.test.mae_days < 0.6 * model.test.median_mae_days
    assert model.validation.mae_days < 0.6 * model.validation.median_mae_days
    assert model.censored_stays > 0
    assert 0.7 <= model.test.coverage <= 1.0
    assert model.losses[-1].validation_loss < model.losses[0].validation_loss


def test_same_seed_gives_the_same_weights(trained):
    place, _, _ = trained
    config = _config(training={"min_stays": 20, "max_epochs": 2})
    sequences = load_sequences(place.sequences(LAST))
    first, second = (train_model(sequences, config, config.cutoff_instant(LAST)) for _ in range(2))
    for name, weights in first.network.state_dict().items():
        assert weights.equal(second.network.state_dict()[name])


@pytest.mark.parametrize("head", ["mse", "mae", "msle"])
def test_every_head_and_the_tutorials_classic_learn(trained, head):
    place, _, _ = trained
    classic = {"head": head, "supervise": "last_step", "inputs": "plain", "layers": 2, "members": 2}
    config = _config(model=classic, training={"min_stays": 20, "optimizer": "adam", "learning_rate": 0.01})
    model = train_model(load_sequences(place.sequences(LAST)), config, config.cutoff_instant(LAST))
    assert model.test.mae_days < model.test.median_mae_days


def test_scoring_writes_bounds_reasons_and_the_same_bytes_twice(trained):
    place, config, model = trained
    with pytest.raises(ModelUnavailable, match="no model has been trained"):
        score_night(place, START, config)
    record = save_model(place, model, LAST, promoted=True, note="first")
    assert champion(place, LAST) == record
    assert champion(place, LAST - timedelta(days=1)) is None
    summary = score_night(place, LAST, config)
    path = partition_file(place.predictions, LAST, key="as_of")
    before = path.read_bytes()
    score_night(place, LAST, config)
    assert path.read_bytes() == before
    table = read_table(path)
    frame = table.to_pandas()
    assert table.schema.equals(tables.PREDICTIONS_SCHEMA)
    assert len(frame) == summary.scored > 5
    assert not summary.stale
    assert frame["stay_id"].is_monotonic_increasing
    assert (frame["remaining_los_days_lower"] <= frame["remaining_los_days"]).all()
    assert (frame["remaining_los_days"] <= frame["remaining_los_days_upper"]).all()
    assert np.allclose(frame["los_days"], frame["elapsed_days"] + frame["remaining_los_days"])
    top = [reasons[0]["variable"] for reasons in frame["reasons"]]
    assert top.count("severity") > 0.5 * len(top)


def test_changed_weights_are_refused(trained, tmp_path):
    model = trained[2]
    other = Workspace(tmp_path)
    record = save_model(other, model, LAST, promoted=True, note="")
    path = other.models / record.version / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(MedlstmError, match="not the weights"):
        load_network(other, record)


def test_training_is_due_by_the_days_since_the_last_one_known_then(trained, tmp_path):
    _, _, model = trained
    place = Workspace(tmp_path)
    assert training_due(place, START, 7)
    save_model(place, model, START, promoted=False, note="")
    assert not training_due(place, START + timedelta(days=6), 7)
    assert training_due(place, START + timedelta(days=7), 7)
    assert training_due(place, START - timedelta(days=1), 7)
    assert champion(place, START) is None
    assert [record.trained_as_of for record in load_records(place, START)] == [START]


def test_too_few_stays_are_refused_with_the_number(trained):
    place, _, _ = trained
    config = _config(training={"min_stays": 5000})
    with pytest.raises(ModelUnavailable, match=r"min_stays = 5000"):
        train_model(load_sequences(place.sequences(LAST)), config, config.cutoff_instant(LAST))


def test_gate(trained):
    evaluation = trained[2].test
    better, worse = replace(evaluation, mae_days=0.1), replace(evaluation, mae_days=99.0)
    assert decide(better, None).promoted
    assert "NOT beat" in decide(worse, None).note
    assert decide(worse, None).promoted
    assert decide(better, evaluation).promoted
    assert not decide(worse, evaluation).promoted
    assert not decide(evaluation, better).promoted


def test_data_without_observations_is_a_sequence_of_one_step(tmp_path):
    generator = np.random.default_rng(5)
    place = Workspace(tmp_path)
    moment = datetime(2026, 1, 1)
    rows = []
    for index in range(300):
        ward = ("a", "b")[index % 2]
        days = (2.0 if ward == "a" else 9.0) + float(generator.random())
        end = None if index % 30 == 0 else moment
        admitted = moment - timedelta(days=1 if end is None else days)
        rows.append((f"s{index}", f"p{index}", admitted, end, None, 50.0, ward))
    _write(place, "stays", {START: rows}, tables.stays_schema(["age"], ["ward"]))
    config = _config(sequences={"steps": "single"}, training={"min_stays": 20, "max_epochs": 30, "learning_rate": 0.02})
    build_sequences(place, START, config, "all")
    model = train_model(load_sequences(place.sequences(START)), config, config.cutoff_instant(START))
    assert model.test.mae_days < 0.3 * model.test.median_mae_days
    save_model(place, model, START, promoted=True, note="")
    assert score_night(place, START, config).scored == 10
