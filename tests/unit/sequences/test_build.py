from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from medlstm.sequences.stay_sequences import input_hashes, load_sequences
from medlstm.settings.workspace import parse_config

DAY_1 = date(2026, 1, 1)
DAY_2 = date(2026, 1, 2)
MIDNIGHT = datetime(2026, 1, 1)


@pytest.fixture
def config():
    source = {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]}
    return parse_config({"source": source, "sequences": {"shards": 2}}, {}, "test")


def _land_stays(workspace, day, rows):
    columns = ("stay_id", "patient_id", "admitted_at", "discharged_at", "died")
    records = [
        dict(zip(columns, row, strict=True)) | {"extract_date": day, "source_file": "s", "source_row": index}
        for index, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(records, schema=tables.stays_schema([], []))
    write_table(table, partition_file(workspace.admitted("stays"), day))


def _land_observations(workspace, day, rows):
    columns = ("stay_id", "observed_at", "variable", "value")
    records = [
        dict(zip(columns, row, strict=True)) | {"extract_date": day, "source_file": "o", "source_row": index}
        for index, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(records, schema=tables.OBSERVATIONS_SCHEMA)
    write_table(table, partition_file(workspace.admitted("observations"), day))


@pytest.fixture
def workspace(tmp_path):
    place = Workspace(tmp_path)
    at = [MIDNIGHT + timedelta(hours=hour) for hour in range(48)]
    _land_stays(place, DAY_1, [("a", "p1", at[20], None, None), ("b", "p2", at[21], None, None)])
    _land_observations(
        place, DAY_1,
        [("a", at[20], "hr", 80.0), ("a", at[20] + timedelta(minutes=30), "hr", 90.0), ("b", at[22], "temp", 37.0)],
    )  # fmt: skip
    _land_stays(place, DAY_2, [("a", "p1", at[20], at[30], False)])
    _land_observations(place, DAY_2, [("a", at[20] + timedelta(minutes=30), "hr", 91.0), ("a", at[31], "hr", 1.0)])
    return place


def test_an_admission_planned_for_after_the_cutoff_is_no_stay_yet(workspace, config):
    just, later = datetime(2026, 1, 2, 23, 59), datetime(2026, 1, 3, 0, 0)
    rows = [("a", "p1", MIDNIGHT, None, None), ("just", "p8", just, None, None), ("later", "p9", later, None, None)]
    _land_stays(workspace, DAY_2, rows)
    assert list(load_cohort(workspace, DAY_2, config).frame["stay_id"]) == ["a", "b", "just"]
    assert "later" in set(load_cohort(workspace, date(2026, 1, 3), config).frame["stay_id"])


def test_open_stay_is_censored_at_the_cutoff_and_discharge_is_known_the_night_after(workspace, config):
    first = load_cohort(workspace, DAY_1, config).frame
    assert list(first["is_open"]) == [True, True]
    assert list(first["duration_hours"]) == [4.0, 3.0]
    second = load_cohort(workspace, DAY_2, config).frame
    assert list(second["is_open"]) == [False, True]
    assert list(second["duration_hours"]) == [10.0, 27.0]


def test_last_value_of_a_bin_and_a_correction_counts_from_its_arrival_on(workspace, config):
    build_sequences(workspace, DAY_1, config, "all")
    night = load_sequences(workspace.sequences(DAY_1))
    assert _value(night, "a", 0, "hr") == 90.0
    build_sequences(workspace, DAY_2, config, "all")
    night = load_sequences(workspace.sequences(DAY_2))
    assert _value(night, "a", 0, "hr") == 90.0
    # Four steps had begun by the first cutoff.
    assert _value(night, "a", 4, "hr") == 91.0
    assert night.late.hours.tolist() == [4.0]
    assert np.isnan(_value(night, "b", 1, "hr"))
    assert _value(night, "b", 1, "temp") == pytest.approx(37.0)


def test_observation_after_the_discharge_is_not_used(workspace, config):
    build_sequences(workspace, DAY_2, config, "all")
    night = load_sequences(workspace.sequences(DAY_2))
    assert not (night.values == 1.0).any()


def test_what_arrives_later_changes_no_hash_of_an_earlier_night(workspace, config):
    build_sequences(workspace, DAY_1, config, "open")
    before = input_hashes(load_sequences(workspace.sequences(DAY_1)), [], [])
    _land_observations(workspace, DAY_2, [("a", MIDNIGHT + timedelta(hours=20), "hr", 200.0)])
    build_sequences(workspace, DAY_1, config, "open")
    assert input_hashes(load_sequences(workspace.sequences(DAY_1)), [], []) == before


def _value(night, stay_id, step, variable):
    index = pd.Index(night.stays["stay_id"]).get_loc(stay_id)
    row = (night.stay == index) & (night.step == step)
    return night.values[row, night.variables.index(variable)][0]


def test_by_default_a_long_stay_that_has_ended_keeps_its_first_hours_as_the_nights_during_it_did(tmp_path, config):
    """Cut to its newest hours it would lack what every night saw, and the lack would tell how long it went on."""
    place, admitted = Workspace(tmp_path), datetime(2026, 1, 1, 8)
    _land_stays(place, DAY_1, [("long", "p1", admitted, None, None)])
    _land_observations(place, DAY_1, [("long", admitted + timedelta(hours=1), "hr", 80.0)])
    during, after = date(2026, 1, 20), date(2026, 2, 20)
    build_sequences(place, during, config, "all")
    _land_stays(place, after, [("long", "p1", admitted, datetime(2026, 2, 18, 8), False)])
    build_sequences(place, after, config, "all")
    then, later = (load_sequences(place.sequences(day)) for day in (during, after))
    assert then.first_bin.tolist() == later.first_bin.tolist() == [0]
    assert then.step.tolist() == later.step.tolist() == [1]
    np.testing.assert_array_equal(then.values, later.values)
    assert later.steps[0] > then.steps[0] > 400
