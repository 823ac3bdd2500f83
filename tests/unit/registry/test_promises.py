"""A promise is what the last weeks' nights came to, as they were scored."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from medlstm.lake.files import partition_file, read_table, write_json, write_table
from medlstm.registry.nightly_training import train_night
from medlstm.registry.promises import promise_of_nights
from medlstm.registry.versions import champion, load_records
from medlstm.scoring.score_night import score_night
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from tests.severity_lake import LAST, severity_config, severity_lake

CONFIG = severity_config(model={"name": "median"}, training={"min_stays": 20, "retrain_every_days": 30})
FIRST = LAST - timedelta(days=20)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Nights from `FIRST` on, scored with a model of that date."""
    place = severity_lake(tmp_path_factory.mktemp("lake"))
    for back in range(20, -1, -1):
        night = LAST - timedelta(days=back)
        build_sequences(place, night, CONFIG, "all" if night == FIRST else "open")
        if night == FIRST:
            train_night(place, night, CONFIG)
        score_night(place, night, CONFIG)
    return place


def recipes(place):
    return {record.version: record.spec for record in load_records(place, LAST)}


def test_it_is_the_error_of_the_settled_nights_counted_apart(lake):
    promise = promise_of_nights(lake, LAST, CONFIG, champion(lake, LAST).spec, recipes(lake))
    cohort = load_cohort(lake, LAST, CONFIG).frame.set_index("stay_id")
    errors, nights = [], []
    for back in range(20, 0, -1):
        night = LAST - timedelta(days=back)
        stored = read_table(partition_file(lake.predictions, night, key="as_of")).to_pandas()
        ends = cohort.loc[stored["stay_id"]]
        days = (ends["end_at"] - pd.Timestamp(CONFIG.cutoff_instant(night))).dt.total_seconds().to_numpy() / 86400
        is_open = ends["is_open"].to_numpy()
        if is_open.mean() <= 0.05:
            shortfall = days - stored["remaining_los_days"].to_numpy()
            errors.append(np.where(is_open, np.maximum(shortfall, 0), np.abs(shortfall)))
            nights.append(night)
    assert len(nights) >= 14, "the lake gives too few settled nights to tell"
    assert promise.mae_days == pytest.approx(np.concatenate(errors).mean())
    assert promise.bounds_days[0] < promise.mae_days < promise.bounds_days[1]
    assert (promise.first_night, promise.last_night, promise.nights) == (nights[0], nights[-1], len(nights))


def test_a_training_keeps_it_in_its_record(lake):
    before = champion(lake, LAST)
    assert (before.promise, before.promised_mae_days) == (None, before.test.promised_mae_days)
    build_sequences(lake, LAST, CONFIG, "all")
    expected = promise_of_nights(lake, LAST, CONFIG, before.spec, recipes(lake))
    train_night(lake, LAST, CONFIG)
    record = load_records(lake, LAST)[-1]
    assert record.trained_as_of == LAST
    assert record.promise == expected
    assert record.promised_mae_days == expected.mae_days


def test_nights_of_another_recipe_promise_nothing(lake):
    spec = champion(lake, FIRST).spec
    assert promise_of_nights(lake, LAST, CONFIG, spec.model_copy(update={"name": "lstm"}), recipes(lake)) is None
    assert promise_of_nights(lake, LAST, CONFIG, spec.model_copy(update={"numeric": ()}), recipes(lake)) is None


def test_too_few_settled_nights_promise_nothing(lake):
    spec = champion(lake, FIRST).spec
    assert promise_of_nights(lake, LAST - timedelta(days=12), CONFIG, spec, recipes(lake)) is None


def test_nights_that_were_scored_from_an_export_do_not_count(lake):
    nights = [(LAST - timedelta(days=back)).isoformat() for back in range(20, 0, -1)]
    write_json({"as_of": LAST.isoformat(), "nights": nights}, lake.backtest)
    try:
        assert promise_of_nights(lake, LAST, CONFIG, champion(lake, FIRST).spec, recipes(lake)) is None
    finally:
        lake.backtest.unlink()


def test_a_night_without_a_prediction_is_none(lake):
    night = LAST - timedelta(days=20)
    path = partition_file(lake.predictions, night, key="as_of")
    table = read_table(path)
    expected = promise_of_nights(lake, LAST, CONFIG, champion(lake, FIRST).spec, recipes(lake))
    write_table(table.slice(0, 0), path)
    try:
        fewer = promise_of_nights(lake, LAST, CONFIG, champion(lake, FIRST).spec, recipes(lake))
        assert fewer is None or fewer.nights == expected.nights - 1
    finally:
        write_table(table, path)
