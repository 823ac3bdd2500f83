"""Every kind of model, trained on a lake in which the answer is in the data: it learns, scores, and comes back from its
file; in seconds each, too many for tests that a changed line waits for."""

import numpy as np
import pytest
import torch

from medlstm.lake.files import Workspace
from medlstm.models.predict import predict
from medlstm.registry.versions import load_network, load_records, save_model
from medlstm.scoring.score_night import score_stays
from medlstm.sequences.batches import arrange
from medlstm.sequences.build import build_sequences
from medlstm.sequences.nightly_points import last_points, nightly_points
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.model_names import BLEND_PARTS
from medlstm.training.fit_and_evaluate import train_model
from medlstm.training.fit_ensemble import fit_blend, fit_model
from tests.severity_lake import LAST, severity_config, severity_lake


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    workspace = severity_lake(tmp_path_factory.mktemp("lake"))
    build_sequences(workspace, LAST, severity_config(), "all")
    return workspace


@pytest.mark.parametrize("head", ["mse", "mae", "msle"])
def test_every_head_and_the_tutorials_classic_learn(place, head):
    classic = {"head": head, "supervise": "last_step", "inputs": "plain", "layers": 2, "members": 2}
    config = severity_config(model=classic, training={"optimizer": "adam", "max_epochs": 6})
    model = train_model(load_sequences(place.sequences(LAST)), config, config.cutoff_instant(LAST))
    assert model.test.mae_days < model.test.median_mae_days


@pytest.mark.parametrize("name", ["gru", "ridge", "gbm", "blend", "median"])
def test_every_kind_of_model_trains_scores_and_comes_back_from_its_file(place, tmp_path, name):
    own = {"name": name, "members": 2, "mortality": True, "sharpness": 1.2, "dropout": 0.0}
    config = severity_config(model=own, training={"max_epochs": 6})
    sequences = load_sequences(place.sequences(LAST))
    model = train_model(sequences, config, config.cutoff_instant(LAST))
    assert model.test.mae_days < (1.1 if name == "median" else 0.7) * model.test.median_mae_days
    assert model.test.coverage > 0.7
    other = Workspace(tmp_path)
    record = save_model(other, model, LAST, promoted=True, note="")
    assert load_records(other, LAST) == [record]
    stays = arrange(sequences, model.fitted.spec)
    mine = predict(model.fitted.network, stays, last_points(sequences), torch.device("cpu"))
    theirs = predict(load_network(other, record), stays, last_points(sequences), torch.device("cpu"))
    np.testing.assert_array_equal(mine.remaining.survival, theirs.remaining.survival)
    np.testing.assert_array_equal(mine.mortality, theirs.mortality)
    some = sequences.select(np.arange(len(sequences)) < 50)
    scored = score_stays(other, record, some, LAST, config, stale=False).to_pylist()
    assert all(row["remaining_los_days_lower"] <= row["remaining_los_days"] for row in scored)
    if name != "median":
        assert np.mean([row["reasons"][0]["variable"] == "severity" for row in scored]) > 0.8


def test_a_blend_of_two_fitted_models_is_the_blend_trained_as_one(place):
    sequences = load_sequences(place.sequences(LAST))

    def fitted(name):
        config = severity_config(model={"name": name, "members": 2}, training={"min_stays": 20, "max_epochs": 3})
        return config, fit_model(sequences, points_of, config)

    def points_of(stays):
        return nightly_points(stays, severity_config().cutoff_instant(LAST))

    parts = {name: fitted(name)[1] for name in BLEND_PARTS}
    config, whole = fitted("blend")
    joined = fit_blend(parts, sequences, points_of, config)
    for name, weights in whole.network.state_dict().items():
        if ".inputs." not in name or ".parts." in name:
            assert weights.equal(joined.network.state_dict()[name]), name
    assert joined.interval == whole.interval
    for shares in (joined.network.each()[0].weights, joined.network.each()[0].mortality_weights):
        assert float(shares.min()) > 0
        assert float(shares.sum()) == pytest.approx(1)
