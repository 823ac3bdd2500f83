import json
from dataclasses import asdict
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import torch

from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.models.gates import activations
from medlstm.registry.versions import champion, load_network, save_model
from medlstm.report import lstm_gates as module
from medlstm.report import plots
from medlstm.report.lstm_gates import explain_gates, longest_stay, lstm_of
from medlstm.sequences.build import build_sequences
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import parse_config
from medlstm.training.fit_and_evaluate import train_model

START = date(2026, 1, 1)
NIGHT = START + timedelta(days=20)
HIDDEN, BIN_HOURS = 8, 12


def _config(**model):
    return parse_config(
        {
            "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
            "features": {"numeric": ["age"], "categorical": ["ward"]},
            "sequences": {"bin_hours": BIN_HOURS, "max_hours": 600, "shards": 2},
            "model": {"members": 1, "hidden_units": HIDDEN, "layers": 1, "dropout": 0.0, "hazard_bins": 6} | model,
            "training": {"min_stays": 20, "max_epochs": 2, "learning_rate": 0.01, "batch_size": 32},
        },
        {},
        "test",
    )


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """The sequences of 160 stays, about a quarter of them open on NIGHT; stay 7 has been in the longest."""
    place = Workspace(tmp_path_factory.mktemp("lake"))
    generator = np.random.default_rng(3)
    stays, observations = [], []
    for index in range(160):
        admitted = datetime.combine(START, datetime.min.time()) + timedelta(hours=int(generator.integers(12, 19 * 24)))
        discharged = admitted + timedelta(hours=float(generator.lognormal(4.6, 0.6)))
        if index == 7:
            admitted, discharged = datetime.combine(START, datetime.min.time()), datetime(2026, 3, 1)
        known = discharged if discharged.date() <= NIGHT else None
        stays.append((f"STAY{index:04}", f"PATIENT{index:04}", admitted, known, None,
                      float(generator.normal(60, 10)), "ab"[index % 2]))  # fmt: skip
        at = admitted
        while at < discharged and at.date() <= NIGHT:
            observations.append((f"STAY{index:04}", at, "severity", (discharged - at) / timedelta(days=1)))
            at += timedelta(hours=8)
    _write(place, "stays", stays, tables.stays_schema(["age"], ["ward"]))
    _write(place, "observations", observations, tables.OBSERVATIONS_SCHEMA)
    build_sequences(place, NIGHT, _config(), "all")
    return place


def _write(place, table, rows, schema):
    records = [dict(zip(schema.names, (*row, START, "file", index), strict=True)) for index, row in enumerate(rows)]
    write_table(pa.Table.from_pylist(records, schema=schema), partition_file(place.admitted(table), START))


def _with_champion(hospital, root, **model):
    """A workspace with the hospital's sequences and a champion trained on them."""
    config = _config(**model)
    place = Workspace(root)
    place.sequences(NIGHT).parent.mkdir(parents=True)
    place.sequences(NIGHT).symlink_to(hospital.sequences(NIGHT))
    trained = train_model(load_sequences(place.sequences(NIGHT)), config, config.cutoff_instant(NIGHT))
    save_model(place, trained, NIGHT, promoted=True, note="")
    return place, config


@pytest.fixture(scope="module")
def two_layers(hospital, tmp_path_factory):
    return _with_champion(hospital, tmp_path_factory.mktemp("two"), name="lstm", layers=2, members=2)


@pytest.mark.parametrize("name", ["lstm", "lstm_attention", "cnn_lstm", "blend"])
def test_every_model_with_an_lstm_gets_a_picture_of_gates_that_are_its_own(hospital, tmp_path, name):
    place, config = _with_champion(hospital, tmp_path, name=name)
    summary = explain_gates(place, NIGHT, config)
    assert summary.hidden_difference < 1e-12
    assert (summary.model, summary.layers, summary.hidden_units) == (name, 1, HIDDEN)
    assert summary.picture == str(place.report(NIGHT) / "gates.svg")
    assert (place.report(NIGHT) / "gates.svg").read_bytes().startswith(b"<?xml")


def test_the_picture_shows_the_gates_of_the_longest_open_stay(two_layers, monkeypatch):
    place, config = two_layers
    drawn = []
    monkeypatch.setattr(module, "draw", lambda content: drawn.append(content) or b"<svg/>")
    explain_gates(place, NIGHT, config)
    (content,) = drawn
    sequences = load_sequences(place.sequences(NIGHT))
    still_in = sequences.select(sequences.stays["is_open"].to_numpy())
    chosen = longest_stay(still_in)
    assert still_in.stays["stay_id"][chosen] == "STAY0007"
    steps = still_in.steps[chosen]
    assert content.days == (0.0, steps * BIN_HOURS / 24)
    assert {panel.shape for layer in content.layers for panel in layer} == {(steps, HIDDEN)}
    # The memory at the end is the one that torch's own LSTM arrives at.
    member = load_network(place, champion(place, NIGHT)).double().each()[0]
    batch = module.collate(module.arrange(still_in, member.spec), np.array([chosen]), torch.device("cpu"))
    features = member.inputs(batch.inputs.as_type(torch.float64))
    _, (_, last_cells) = lstm_of(member)(features)
    for layer, (forget, written, shown, cell) in enumerate(content.layers):
        np.testing.assert_allclose(cell[-1], last_cells[layer, 0].detach(), atol=1e-6)
        for gate in (forget, written, shown):
            assert ((gate > 0) & (gate < 1)).all()


def test_nothing_in_picture_or_summary_names_the_stay(two_layers, monkeypatch):
    place, config = two_layers
    monkeypatch.setitem(plots.STYLE, "svg.fonttype", "none")  # letters, not outlines of letters
    summary = explain_gates(place, NIGHT, config)
    picture = (place.report(NIGHT) / "gates.svg").read_text()
    assert "forget gate" in picture
    text = picture + json.dumps(asdict(summary), default=str)
    assert "STAY" not in text
    assert "PATIENT" not in text
    explain_gates(place, NIGHT, config)
    assert (place.report(NIGHT) / "gates.svg").read_text() == picture


def test_equations_that_do_not_give_the_networks_hidden_states_are_refused(two_layers, monkeypatch):
    place, config = two_layers

    def wrong(lstm, features):
        with torch.no_grad():
            lstm.bias_hh_l0[HIDDEN : 2 * HIDDEN] += 1e-3  # the forget gate's
        return activations(lstm, features)

    monkeypatch.setattr(module, "activations", wrong)
    with pytest.raises(MedlstmError, match="differ from the network's"):
        explain_gates(place, NIGHT, config)


@pytest.mark.parametrize("name", ["gru", "median"])
def test_a_champion_without_an_lstm_is_named(hospital, tmp_path, name):
    place, config = _with_champion(hospital, tmp_path, name=name)
    with pytest.raises(MedlstmError, match=f"the champion is a {name}, which has no LSTM"):
        explain_gates(place, NIGHT, config)


def test_what_is_missing_is_said(two_layers):
    place, config = two_layers
    with pytest.raises(ModelUnavailable, match="no model has been promoted"):
        explain_gates(place, START, config)
    later = NIGHT + timedelta(days=1)
    with pytest.raises(MedlstmError, match="medlstm preprocess"):
        explain_gates(place, later, config)


def test_of_equally_long_stays_the_most_observed_is_shown(hospital):
    sequences = load_sequences(hospital.sequences(NIGHT))
    steps = np.full(len(sequences), 3)
    counts = np.bincount(sequences.stay, minlength=len(sequences))
    chosen = longest_stay(module.StaySequences(**{**vars(sequences), "steps": steps}))
    assert counts[chosen] == counts.max()


def test_a_sequence_of_one_step_has_a_picture_too(hospital, tmp_path):
    config = parse_config(
        {
            "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
            "features": {"numeric": ["age"], "categorical": ["ward"]},
            "sequences": {"steps": "single"},
            "model": {
                    "name": "lstm", "members": 1, "layers": 2, "head": "mse", "supervise": "last_step",
                    "inputs": "plain", "hidden_units": HIDDEN,
                },
            "training": {"min_stays": 20, "max_epochs": 2},
        },
        {},
        "test",
    )
    place = Workspace(tmp_path)
    place.root.joinpath("lake").mkdir()
    for table in ("stays", "observations"):
        place.admitted(table).symlink_to(hospital.admitted(table))
    build_sequences(place, NIGHT, config, "all")
    trained = train_model(load_sequences(place.sequences(NIGHT)), config, config.cutoff_instant(NIGHT))
    save_model(place, trained, NIGHT, promoted=True, note="")
    assert explain_gates(place, NIGHT, config).layers == 2
    assert (place.report(NIGHT) / "gates.svg").stat().st_size > 1000
