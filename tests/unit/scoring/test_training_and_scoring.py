import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from medlstm.contracts.output_checks import check_predictions
from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.registry.versions import champion, load_network, load_records, night_scope, save_model, training_due
from medlstm.report.comparison import compare_night
from medlstm.scoring.score_night import score_night, score_stays
from medlstm.sequences.batches import arrange
from medlstm.sequences.build import build_sequences
from medlstm.sequences.nightly_points import NightlyPoints, followed_up, nightly_points
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.training.blend_weights import drawn_to
from medlstm.training.fit_and_evaluate import train_model
from medlstm.training.fit_ensemble import fit_model
from medlstm.training.fit_member import targets
from medlstm.training.input_statistics import fit_buffers, fit_spec
from medlstm.training.sizes import sizes_for
from medlstm.training.validation_folds import assign_windows
from tests.severity_lake import LAST, START, severity_config, severity_lake, write_days


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place, config = severity_lake(tmp_path_factory.mktemp("lake")), severity_config()
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
    assert model.fitted.censored_stays > 0
    assert 0.7 <= model.test.coverage <= 1.0
    assert model.fitted.losses[-1].validation_loss < model.fitted.losses[0].validation_loss


def test_the_promise_is_of_all_stays_that_the_answering_model_had_not_trained_on(trained):
    _, _, model = trained

    def by_stay(answers, days, is_open, stay):
        expected = answers.remaining.after(days).expected_error(answers.days - days)
        errors = np.where(is_open, expected, np.abs(answers.days - days))
        return [errors[stay == one] for one in np.unique(stay)]

    points, stays = model.test_points, model.test_stays
    wanted, is_open = targets(stays, points, model.fitted.spec), stays.stays["is_open"].to_numpy()[points.stay]
    unseen = by_stay(model.test_answers, wanted.days, is_open, points.stay)
    assert len(model.fitted.out_of_fold) == 1
    for one in model.fitted.out_of_fold:
        unseen += by_stay(one.predictions, one.actual_days, one.censored, one.stay)
    assert model.test.promised_mae_days == pytest.approx(np.concatenate(unseen).mean())
    generator = np.random.default_rng(1)
    drawn = [np.concatenate([unseen[one] for one in generator.integers(0, len(unseen), len(unseen))]).mean()
             for _ in range(2000)]  # fmt: skip
    assert model.test.promised_bounds_days == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), rel=0.03)


def test_same_seed_gives_the_same_weights(trained):
    place, _, _ = trained
    config = severity_config(training={"min_stays": 20, "max_epochs": 2})
    sequences = load_sequences(place.sequences(LAST))
    first, second = (train_model(sequences, config, config.cutoff_instant(LAST)) for _ in range(2))
    for name, weights in first.fitted.network.state_dict().items():
        assert weights.equal(second.fitted.network.state_dict()[name])


def test_a_blends_shares_are_the_usual_ones_as_long_as_few_stays_speak_against_them():
    usual = np.array([0.5, 0.3, 0.2])
    assert drawn_to(usual, np.array([1.0, 0, 0]), 0) == pytest.approx(usual)
    assert drawn_to(usual, np.array([0, 0, 1.0]), 20) == pytest.approx(np.array([1000, 600, 420]) / 2020)
    assert drawn_to(usual, np.array([1.0, 0, 0]), 2000) == pytest.approx([0.75, 0.15, 0.1])
    assert drawn_to(usual, np.array([0.2, 0.8, 0]), 10**8) == pytest.approx([0.2, 0.8, 0], abs=1e-4)


def test_no_validation_calibration_or_test_stay_changes_a_fitted_statistic(trained):
    """Each stay that a member stops on, and every calibration and test stay, is made absurd: no statistic moves."""
    place, _, _ = trained
    config = severity_config(model={"members": 2, "name": "gbm"})
    sequences = load_sequences(place.sequences(LAST))
    window = assign_windows(sequences.stays, 2, config.training)
    assert set(window) == {-1, 0, 1}
    kept = (window == -1) & (sequences.stays["split"] == "train").to_numpy()
    stays = sequences.stays.assign(
        age=sequences.stays["age"].where(kept, 1e6), ward=sequences.stays["ward"].where(kept, "nowhere"),
        duration_hours=sequences.stays["duration_hours"].where(kept, sequences.stays["duration_hours"] + 1000),
    )  # fmt: skip
    values = np.where(kept[sequences.stay][:, None], sequences.values, 1e6).astype(np.float32)
    absurd = replace(sequences, stays=stays, values=values)

    def statistics(of, rows):
        core = of.select(rows)
        sizes = sizes_for(len(core), config)
        spec = fit_spec(core, nightly_points(core, config.cutoff_instant(LAST)), config, sizes)
        return spec, fit_buffers(arrange(core, spec))

    spec, buffers = statistics(sequences, kept)
    other_spec, other_buffers = statistics(absurd, kept)
    assert spec == other_spec
    assert all(buffers[name].equal(other_buffers[name]) for name in buffers)
    whole, changed = (
        fit_model(of, lambda chosen: nightly_points(chosen, config.cutoff_instant(LAST)), config)
        for of in (sequences, absurd)
    )
    assert whole.spec == changed.spec
    assert whole.network.usual_survival.equal(changed.network.usual_survival)
    assert whole.baseline_median_days == changed.baseline_median_days


def test_what_any_member_stops_on_is_in_the_statistics_of_none(trained):
    place, _, _ = trained
    config = severity_config(model={"members": 2, "name": "median"})
    sequences = load_sequences(place.sequences(LAST))
    window = assign_windows(sequences.stays, 2, config.training)

    def buffers(of):
        fitted = fit_model(of, lambda chosen: nightly_points(chosen, config.cutoff_instant(LAST)), config)
        return [dict(member.inputs.named_buffers()) for member in fitted.network.each()]

    def absurd(stays):
        values = np.where(stays[sequences.stay][:, None], 1e6, sequences.values).astype(np.float32)
        return replace(sequences, values=values)

    core = (window < 0) & (sequences.stays["split"] == "train").to_numpy()
    before, after = buffers(sequences), buffers(absurd(window >= 0))
    assert all(one[name].equal(before[0][name]) for one in (*before, *after) for name in before[0])
    assert not before[0]["mean"].equal(buffers(absurd(core))[0]["mean"])


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
    chances = frame[["p_discharge_24h", "p_discharge_48h", "p_discharge_72h"]].to_numpy()
    assert (np.diff(chances, axis=1) >= 0).all()
    assert ((chances >= 0) & (chances <= 1)).all()
    assert ((frame["remaining_los_days"] <= 1) == (frame["p_discharge_24h"] >= 0.5)).all()
    top = [reasons[0]["variable"] for reasons in frame["reasons"]]
    assert top.count("severity") > 0.5 * len(top)


def test_a_night_with_nobody_in_a_bed_scores_nobody(trained, tmp_path):
    place, config, model = trained
    other = Workspace(tmp_path)
    record = save_model(other, model, LAST, promoted=True, note="")
    nobody = load_sequences(place.sequences(LAST))
    table = score_stays(other, record, nobody.select(np.zeros(len(nobody), dtype=bool)), LAST, config, stale=False)
    assert table.num_rows == 0
    assert table.schema.equals(tables.PREDICTIONS_SCHEMA)
    check_predictions(table, LAST, config, other.root)


def test_a_comparison_leaves_a_plot_and_a_json_beside_the_report(trained):
    place, config, _ = trained
    comparison = compare_night(place, LAST, config, ["median"])
    written = json.loads((place.report(LAST) / "comparison.json").read_text())
    assert [row["name"] for row in written["models"]] == [one.name for one in comparison.models]
    assert {one.name for one in comparison.models} == {"gbm", "median"}
    assert written["as_of"] == LAST.isoformat()
    assert (place.report(LAST) / "comparison.svg").read_bytes().startswith(b"<?xml")


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
    assert [night_scope(place, START + timedelta(days=days), 7) for days in (-1, 0, 1, 6, 7)] == [
        "all", "all", "open", "open", "all"
    ]  # fmt: skip
    assert champion(place, START) is None
    assert [record.trained_as_of for record in load_records(place, START)] == [START]


def test_too_few_stays_are_refused_with_the_number(trained):
    place, _, _ = trained
    config = severity_config(training={"min_stays": 5000})
    with pytest.raises(ModelUnavailable, match=r"min_stays = 5000"):
        train_model(load_sequences(place.sequences(LAST)), config, config.cutoff_instant(LAST))


def test_whoever_takes_all_stays_for_short_ones_wins_on_ended_stays_only(trained):
    """A night cuts all stays: of ten who stay 1 and ten who stay 20 days, admitted over the last 20 days."""
    sequences = load_sequences(trained[0].sequences(LAST))
    admitted = pd.Timestamp(datetime(2026, 1, 1), tz="UTC").as_unit("us") + pd.to_timedelta(np.arange(20), unit="D")
    cutoff, los = datetime(2026, 1, 21, tzinfo=UTC), np.where(np.arange(20) % 2, 20.0, 1.0)
    followup = 20.0 - np.arange(20)
    stays = sequences.stays.head(20).assign(
        admitted_at=admitted, duration_hours=24 * np.minimum(los, followup), is_open=los > followup
    )
    asked = replace(sequences.select(np.arange(len(sequences)) < 20), stays=stays, single_step=True)
    points = NightlyPoints(np.arange(20), np.zeros(20, dtype=int), np.minimum(los, followup))
    wanted = targets(followed_up(asked, cutoff), points, trained[2].fitted.spec)
    np.testing.assert_allclose(wanted.followup_days, followup)
    ended = ~wanted.censored
    everyone_short, honest = np.full(20, 1.0), los + 0.5
    assert np.abs(everyone_short - los)[ended].mean() < np.abs(honest - los)[ended].mean()
    assert wanted.restricted_error(honest).mean() < 0.1 * wanted.restricted_error(everyone_short).mean()
    np.testing.assert_allclose(wanted.restricted_error(los), 0)


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
    write_days(place, "stays", {START: rows}, tables.stays_schema(["age"], ["ward"]))
    training = {"min_stays": 20, "max_epochs": 30, "learning_rate": 0.02}
    config = severity_config(sequences={"steps": "single"}, training=training)
    build_sequences(place, START, config, "all")
    model = train_model(load_sequences(place.sequences(START)), config, config.cutoff_instant(START))
    assert model.test.mae_days < 0.3 * model.test.median_mae_days
    save_model(place, model, START, promoted=True, note="")
    assert score_night(place, START, config).scored == 10
