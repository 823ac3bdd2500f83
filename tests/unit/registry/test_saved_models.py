"""A loaded model is the trained one: every kind, head and input layer, whatever its categories are called."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import torch

from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.evaluation.baseline import fit_baseline
from medlstm.evaluation.conformal_intervals import ConformalInterval, GroupWidening
from medlstm.lake.files import Workspace, read_json, write_json
from medlstm.models.blending import BlendMember
from medlstm.models.ensemble import Ensemble
from medlstm.models.predict import predict
from medlstm.models.spec import ModelSpec
from medlstm.models.table_member import TableMember
from medlstm.registry import versions as registry
from medlstm.registry.versions import champion, load_network, load_records, save_model, training_due, unusable_models
from medlstm.scoring.occlusion import occlusion_contributions
from medlstm.scoring.score_night import score_night
from medlstm.sequences.batches import arrange
from medlstm.sequences.nightly_points import NightlyPoints, last_points
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.model_names import BLEND_PARTS, model_names
from medlstm.settings.workspace import parse_config
from medlstm.training.fit_and_evaluate import Evaluation, TrainedModel
from medlstm.training.fit_ensemble import FittedModel
from medlstm.training.fit_member import table_rows
from medlstm.training.sizes import Sizes

NIGHT = date(2026, 3, 1)
OTHERS = ("median", "ridge", "aft", "gbm", "extra_trees", "blend")
NETWORKS = ("lstm", "lstm_attention", "cnn_lstm", "rnn", "gru", "mlp", "cnn")
HEADS = ("hazard", "quantile", "smooth_log", "mse", "mae", "msle")
# In an order that no sorting gives, with names that a file has to escape.
CATEGORIES = {
    "ward": ("z\"quoted\"", "a\\b", "ünï ☃", "line\nbreak", "tab\t"),
    "gender": ("m", "f"),
    "Disease": ("{}", "null", "1e5"),
    "änother": ("x",),
}
VARIABLES = ("zeta", "alpha", 'we"ird\\name')
NUMERIC = ("weight", "age")


def _stays(count=60, seed=0):
    """Random stays of random lengths; some have a category that no training stay had, or none."""
    generator = np.random.default_rng(seed)
    steps = generator.integers(1, 9, count)
    stay = np.repeat(np.arange(count), steps)
    values = generator.normal(size=(len(stay), len(VARIABLES))).astype(np.float32)
    values[generator.random(values.shape) < 0.4] = np.nan
    frame = {
        "stay_id": [f"s{index}" for index in range(count)],
        "patient_id": [f"p{index}" for index in range(count)],
        "admitted_at": pd.Timestamp("2026-01-01", tz="UTC").as_unit("us"),
        "duration_hours": steps * 6.0 + generator.uniform(1, 90, count),
        "is_open": generator.random(count) < 0.2,
        "died": generator.random(count) < 0.3,
        "weight": generator.normal(80, 10, count),
        "age": generator.normal(60, 10, count),
    }
    for name, known in CATEGORIES.items():
        frame[name] = generator.choice([*known, "never seen", None], count)
    return StaySequences(
        stays=pd.DataFrame(frame), variables=VARIABLES, bin_hours=6, single_step=False, steps=steps,
        first_bin=np.zeros(count, dtype=np.int64), stay=stay,
        step=np.concatenate([np.arange(one) for one in steps]), values=values,
    )  # fmt: skip


def _points(sequences):
    stay = np.repeat(np.arange(len(sequences)), sequences.steps)
    remaining = sequences.stays["duration_hours"].to_numpy()[stay] - (sequences.step + 1) * 6.0
    return NightlyPoints(stay, sequences.step, np.maximum(remaining, 0) / 24)


def _spec(name, head, inputs, two_ends=True):
    return ModelSpec(
        name=name, head=head, inputs=inputs, hidden_units=6, layers=2, dropout=0.2, members=2, summaries=True,
        mortality=True, edges_days=(0.0, 0.5, 1.5, 3.0, 6.0), tail_days=2.5, sharpness=1.15, variables=VARIABLES,
        numeric=NUMERIC, categories=CATEGORIES, bin_hours=6, single_step=False,
        parts=BLEND_PARTS if name == "blend" else (), two_ends=two_ends,
    )  # fmt: skip


def _fit_tables(network, stays):
    training = parse_config({"source": {"format": "physionet2012"}}, {}, "test").training
    for part in network.each_part():
        if isinstance(part, TableMember):
            part.fit_rows(table_rows(part, arrange(stays, network.spec), _points(stays), training, 5000, 1), 1)


def _in_memory(name, head, inputs):
    """A model with random weights, and trees and ridge fitted on random stays: nothing of it is at its default."""
    torch.manual_seed(3)
    network, stays = Ensemble(_spec(name, head, inputs)), _stays()
    for member in network.each():
        if isinstance(member, BlendMember):
            member.weights.copy_(torch.tensor([0.3, 0.5, 0.1, 0.1]))
            member.mortality_weights.copy_(torch.tensor([0.2, 0.1, 0.4, 0.3]))
    _fit_tables(network, stays)
    network.usual_survival.copy_(torch.tensor([1.0, 0.8, 0.5, 0.3, 0.1]))
    interval = ConformalInterval(0.9, -0.3, np.inf, (GroupWidening("ward", "a\\b", -0.1, 0.2),))
    fitted = FittedModel(
        spec=network.spec, sizes=Sizes(2, 6, 1, 100), network=network, interval=interval, baseline_median_days=2.0,
        baseline=fit_baseline(stays.stays, "ward"), training_stays=60, censored_stays=9, out_of_fold=(), losses=(),
        reached_deadline=False, seconds=0.0,
    )  # fmt: skip
    nothing = Evaluation(60, 60, 1.0, 2.0, 0.9)
    others = _stays(seed=1)
    answers = predict(network, arrange(others, network.spec), _points(others), torch.device("cpu"))
    return TrainedModel(fitted, nothing, nothing, others, _points(others), answers)


def _assert_same(mine, theirs):
    np.testing.assert_array_equal(mine.days, theirs.days)
    assert (mine.remaining is None) == (theirs.remaining is None)
    if mine.remaining is not None:
        np.testing.assert_array_equal(mine.remaining.survival, theirs.remaining.survival)
    np.testing.assert_array_equal(mine.mortality, theirs.mortality)


@pytest.mark.parametrize(
    ("name", "head", "inputs"),
    [(name, head, inputs) for name in NETWORKS for head in HEADS for inputs in ("clinical", "plain")]
    + [(name, "hazard", inputs) for name in OTHERS for inputs in ("clinical", "plain")],
)
def test_a_model_comes_back_from_its_folder_as_it_was(tmp_path, name, head, inputs):
    place, model = Workspace(tmp_path), _in_memory(name, head, inputs)
    record = save_model(place, model, NIGHT, promoted=True, note="")
    (loaded,) = load_records(place, NIGHT)
    assert loaded == record
    assert list(loaded.spec.categories.items()) == list(CATEGORIES.items())
    others = _stays(seed=2)
    mine, theirs = (
        predict(network, arrange(others, spec), _points(others), torch.device("cpu"))
        for network, spec in ((model.fitted.network, model.fitted.spec), (load_network(place, loaded), loaded.spec))
    )
    _assert_same(mine, theirs)


def test_every_kind_of_model_is_among_those_that_come_back():
    assert set(model_names()) == {*NETWORKS, *OTHERS}


def test_a_blend_that_was_saved_when_it_had_two_parts_answers_as_it_did(tmp_path):
    spec = _spec("blend", "hazard", "clinical").model_copy(update={"parts": ("lstm", "gbm")})
    torch.manual_seed(3)
    network, stays = Ensemble(spec), _stays()
    arranged, points = arrange(stays, spec), _points(stays)
    for member in network.each():
        member.weights.copy_(torch.tensor([0.25, 0.75]))
        member.mortality_weights.copy_(torch.tensor([0.625, 0.375]))
    weights = network.state_dict()
    for position in range(2):
        for before in ("weight", "mortality_weight"):
            weights[f"members.{position}.{before}"] = weights.pop(f"members.{position}.{before}s")[0].clone()
    old = spec.model_dump(mode="json")
    del old["parts"]
    again = Ensemble(ModelSpec.model_validate(old))
    again.load_state_dict(weights)
    cpu = torch.device("cpu")
    _assert_same(predict(network, arranged, points, cpu), predict(again, arranged, points, cpu))


@pytest.mark.parametrize("name", ["gbm", "aft", "blend"])
def test_a_model_that_was_saved_when_an_end_was_an_end_answers_as_it_did(name):
    network, stays = Ensemble(_spec(name, "hazard", "clinical", two_ends=False)), _stays()
    _fit_tables(network, stays)
    old = network.spec.model_dump(mode="json")
    del old["two_ends"]
    again = Ensemble(ModelSpec.model_validate(old))
    again.load_state_dict(network.state_dict())
    arranged, points, cpu = arrange(stays, network.spec), _points(stays), torch.device("cpu")
    _assert_same(predict(network, arranged, points, cpu), predict(again, arranged, points, cpu))


def test_predicting_leaves_the_network_as_it_was():
    model = _in_memory("blend", "hazard", "clinical")
    before = {name: (one.dtype, one.clone()) for name, one in model.fitted.network.state_dict().items()}
    for dtype in (torch.float32, torch.float64):
        stays = arrange(model.test_stays, model.fitted.spec)
        predict(model.fitted.network, stays, model.test_points, torch.device("cpu"), dtype)
    for name, one in model.fitted.network.state_dict().items():
        assert one.dtype == before[name][0]
        assert one.equal(before[name][1])


@pytest.mark.parametrize("name", ["lstm", "gbm", "ridge", "aft", "extra_trees", "blend"])
def test_features_that_parts_share_are_those_of_each_alone(name, monkeypatch):
    model = _in_memory(name, "hazard", "clinical")
    network, stays = model.fitted.network, arrange(model.test_stays, model.fitted.spec)
    computed = []
    for part_class in {type(part) for part in network.each_part()}:
        def prepare(self, *arguments, original=part_class.prepare):
            computed.append(self)
            return original(self, *arguments)

        monkeypatch.setattr(part_class, "prepare", prepare)

    def asked():
        computed.clear()
        answers = predict(network, stays, model.test_points, torch.device("cpu"))
        return answers, len(computed)

    together, once = asked()
    assert once == len({isinstance(part, TableMember) for part in network.each_part()})
    with monkeypatch.context() as apart:
        for part_class in {type(part) for part in network.each_part()}:
            apart.setattr(part_class, "takes_features_of", lambda self, other: False)
        alone, each = asked()
    assert each == len(network.each_part()) > once
    _assert_same(together, alone)
    network.each_part()[0].inputs.mean.add_(0.5)
    changed, twice = asked()
    assert twice == once + 1
    assert (changed.days != together.days).any()


def _sorted_categories(spec):
    return spec.model_copy(update={"categories": dict(sorted(spec.categories.items()))})


@pytest.mark.parametrize("name", ["lstm", "gbm", "ridge", "blend"])
def test_a_model_that_comes_back_otherwise_is_not_registered(tmp_path, monkeypatch, name):
    """The fault that went unseen for weeks: the columns of the categories in another order after loading."""
    place, model = Workspace(tmp_path), _in_memory(name, "hazard", "clinical")
    read = registry.read_record

    def permuted(workspace, version):
        record = read(workspace, version)
        return record.model_copy(update={"spec": _sorted_categories(record.spec)})

    monkeypatch.setattr(registry, "read_record", permuted)
    with pytest.raises(MedlstmError, match=r"answers otherwise than the trained one at \d+ of \d+ test points"):
        save_model(place, model, NIGHT, promoted=True, note="")
    assert load_records(place, NIGHT) == []
    assert champion(place, NIGHT) is None
    assert not [path for path in place.models.rglob("*") if path.is_file()]


def test_a_model_with_other_bounds_after_loading_is_not_registered(tmp_path, monkeypatch):
    place, model = Workspace(tmp_path), _in_memory("median", "hazard", "clinical")
    read = registry.read_record
    other = ConformalInterval(0.9, -0.4, np.inf)
    monkeypatch.setattr(
        registry, "read_record", lambda *named: read(*named).model_copy(update={"interval": other})
    )
    with pytest.raises(MedlstmError, match="bounds or baseline are not the trained ones"):
        save_model(place, model, NIGHT, promoted=True, note="")
    assert load_records(place, NIGHT) == []


def _as_an_earlier_version_wrote_it(place, record, names):
    """Categories as an object, whose keys were sorted, no baseline, and no hash in the list."""
    path = place.models / record.version / "model.json"
    raw = read_json(path)
    known = {one["name"]: one["known"] for one in raw["spec"]["categories"]}
    raw["spec"]["categories"] = {name: known[name] for name in names}
    del raw["baseline"]
    write_json(raw, path)
    write_json({"versions": [record.version]}, place.models / "registry.json")


def test_an_old_model_whose_order_of_categories_is_lost_is_refused_and_trained_anew(tmp_path):
    place, model = Workspace(tmp_path), _in_memory("lstm", "hazard", "clinical")
    record = save_model(place, model, NIGHT, promoted=True, note="")
    assert not training_due(place, NIGHT + timedelta(days=1), 7)
    _as_an_earlier_version_wrote_it(place, record, CATEGORIES)
    assert [one.version for one in unusable_models(place)] == [record.version]
    assert champion(place, NIGHT) is None
    assert training_due(place, NIGHT + timedelta(days=1), 7)
    with pytest.raises(ModelUnavailable, match=f"{record.version}.*order of its categories.*retrain"):
        score_night(place, NIGHT, parse_config({"source": {"format": "physionet2012"}}, {}, "test"))


def test_an_old_model_of_one_category_has_only_one_order_and_is_read(tmp_path):
    place, model = Workspace(tmp_path), _in_memory("lstm", "hazard", "clinical")
    record = save_model(place, model, NIGHT, promoted=True, note="")
    _as_an_earlier_version_wrote_it(place, record, ["ward"])
    assert unusable_models(place) == []
    (loaded,) = load_records(place, NIGHT)
    assert loaded.spec.categories == {"ward": CATEGORIES["ward"]}
    assert loaded.baseline is None


@pytest.mark.parametrize(
    ("name", "inputs"),
    [(name, inputs) for name in ("lstm", *OTHERS[1:]) for inputs in ("clinical", "plain")],
)
def test_a_contribution_is_the_prediction_less_that_of_a_stay_without_the_input(name, inputs):
    """Each input is hidden in the stays themselves here, and in the computed features there."""
    network = _in_memory(name, "hazard", inputs).fitted.network
    sequences = _stays(seed=5)
    stays, points = arrange(sequences, network.spec), last_points(sequences)
    names, contributions = occlusion_contributions(network, stays, points, torch.device("cpu"))
    assert names == (*VARIABLES, *NUMERIC, *CATEGORIES)

    def said(of):
        return predict(network, of, points, torch.device("cpu"), torch.float32).days

    for column in range(len(VARIABLES)):
        values = stays.sequences.values.copy()
        values[:, column] = np.nan
        without = said(replace(stays, sequences=replace(stays.sequences, values=values)))
        np.testing.assert_allclose(contributions[:, column], said(stays) - without, atol=2e-5)
    for place in range(len(NUMERIC)):
        numeric = stays.statics.numeric.copy()
        numeric[:, place] = np.nan
        without = said(replace(stays, statics=replace(stays.statics, numeric=numeric)))
        np.testing.assert_allclose(contributions[:, len(VARIABLES) + place], said(stays) - without, atol=2e-5)
    for place in range(len(CATEGORIES)):
        without = np.zeros(len(stays))
        for code, count in zip(*np.unique(stays.statics.codes[:, place], return_counts=True), strict=True):
            codes = stays.statics.codes.copy()
            codes[:, place] = code
            without += said(replace(stays, statics=replace(stays.statics, codes=codes))) * count / len(stays)
        column = len(VARIABLES) + len(NUMERIC) + place
        np.testing.assert_allclose(contributions[:, column], said(stays) - without, atol=2e-5)


def test_whatever_has_an_order_is_a_list_in_the_file(tmp_path):
    place, model = Workspace(tmp_path), _in_memory("lstm", "hazard", "clinical")
    record = save_model(place, model, NIGHT, promoted=True, note="")
    raw = json.loads((place.models / record.version / "model.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in raw["spec"]["categories"]] == list(CATEGORIES)
    assert raw["spec"]["variables"] == list(VARIABLES)
    assert raw["spec"]["numeric"] == list(NUMERIC)
