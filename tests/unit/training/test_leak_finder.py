"""Inputs that are written down at the discharge are named, and those that are not are left in peace."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.lake.schemas import admitted_schema
from medlstm.registry.nightly_training import train_night
from medlstm.registry.versions import champion
from medlstm.sequences.build import build_sequences
from medlstm.sequences.nightly_points import followed_up, nightly_points
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import parse_config
from medlstm.training.leak_finder import find_leaks

START, DAYS = date(2026, 3, 1), 24
NIGHT = START + timedelta(days=DAYS - 1)


def _config(**features):
    source = {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]}
    return parse_config(
        {"source": source, "features": {"numeric": ["age"], "categorical": ["disease"]} | features,
         "sequences": {"shards": 1, "bin_hours": 6}, "contracts": {"stop_orphan_share": 1.0},
         "model": {"name": "ridge", "head": "hazard", "members": 1}, "training": {"min_stays": 20}}, {}, "test",
    )  # fmt: skip


def _hospital(place, *, coded_at_discharge=False, in_one_delivery=False, order_before_leaving=False):
    """Stays of one to six days, with a pulse every day; `letter` is measured on the last day of each, if ordered."""
    generator = np.random.default_rng(3)
    stays, rows = [], []
    for number in range(400):
        admitted = datetime(2026, 2, 28, 8, tzinfo=UTC) + timedelta(days=float(generator.uniform(0, DAYS)))
        end = admitted + timedelta(days=float(generator.uniform(1, 6)))
        name, came, left = f"s{number}", _day(admitted), _day(end)
        if in_one_delivery:
            came = left = NIGHT
        disease = str(generator.choice(["A", "B"]))
        at_first = {"stay_id": name, "patient_id": name, "admitted_at": admitted, "age": 60.0, "extract_date": came,
                    "disease": None if coded_at_discharge else disease}  # fmt: skip
        ended = end < datetime(2026, 3, 25, tzinfo=UTC)
        if ended and left > came:
            stays.append(at_first)
        stays.append(at_first | ({"discharged_at": end, "disease": disease, "extract_date": left} if ended else {}))
        for day in range(1, 7):
            at = admitted + timedelta(days=day - 0.5)
            if at < end and _day(at) <= NIGHT:
                arrives = NIGHT if in_one_delivery else _day(at)
                row = {"stay_id": name, "observed_at": at, "value": float(generator.normal(80, 5)),
                       "extract_date": arrives}  # fmt: skip
                rows.append(row | {"variable": "pulse"})
                if order_before_leaving and end - at < timedelta(days=1):
                    rows.append(row | {"variable": "letter"})
    for table, records in (("stays", stays), ("observations", rows)):
        schema = admitted_schema(table, ["age"] * (table == "stays"), ["disease"] * (table == "stays"))
        for day in sorted({one["extract_date"] for one in records}):
            of_day = [one | {"source_file": "f", "source_row": place_in_file}
                      for place_in_file, one in enumerate(records) if one["extract_date"] == day]  # fmt: skip
            write_table(pa.Table.from_pylist(of_day, schema=schema), partition_file(place.admitted(table), day))


def _day(moment):
    return max(moment.date(), START)


def _found(place, config):
    build_sequences(place, NIGHT, config, "all")
    sequences = followed_up(load_sequences(place.sequences(NIGHT)), config.cutoff_instant(NIGHT))
    points = nightly_points(sequences, config.cutoff_instant(NIGHT))
    return find_leaks(sequences, points, ["age", "disease"], sequences.variables)


def test_a_tidy_hospital_shows_no_sign(tmp_path):
    place = Workspace(tmp_path)
    _hospital(place)
    assert _found(place, _config()) == ()


def test_a_diagnosis_that_comes_with_the_discharge_is_named_with_its_numbers(tmp_path):
    place = Workspace(tmp_path)
    _hospital(place, coded_at_discharge=True)
    (leak,) = _found(place, _config())
    assert (leak.name, leak.sign) == ("disease", "comes_with_the_end")
    assert leak.value > 0.9
    assert "disease was written down with the discharge" in str(leak)


def test_one_that_only_ended_stays_of_a_history_have_is_named_unless_it_is_known_from_the_discharge(tmp_path):
    place = Workspace(tmp_path)
    _hospital(place, coded_at_discharge=True, in_one_delivery=True)
    (leak,) = _found(place, _config())
    assert (leak.name, leak.sign) == ("disease", "known_of_the_ended")
    assert leak.lower > 0.5
    known_from = _config(known_from={"disease": "discharge"})
    assert _found(place, known_from) == ()
    assert load_sequences(place.sequences(NIGHT)).stays["disease"].isna().all()


def test_a_measurement_that_only_those_have_who_leave_is_named_and_a_pulse_is_not(tmp_path):
    place = Workspace(tmp_path)
    _hospital(place, order_before_leaving=True)
    (leak,) = _found(place, _config())
    assert (leak.name, leak.sign) == ("letter", "presence_tells")
    assert leak.lower > 0.65


@pytest.mark.parametrize("action", ["warn", "drop", "stop"])
def test_a_training_says_so_leaves_it_out_or_ends_without_a_model(tmp_path, action):
    place = Workspace(tmp_path)
    _hospital(place, order_before_leaving=True)
    config = _config(leak_action=action)
    build_sequences(place, NIGHT, config, "all")
    summary = train_night(place, NIGHT, config)
    record = champion(place, NIGHT)
    if action == "stop":
        assert record is None
        assert "whether letter is there tells" in summary.note
        assert "leak_action = stop" in summary.note
    else:
        assert [one.name for one in record.leaks] == [one.name for one in summary.leaks] == ["letter"]
        assert ("letter" in record.spec.variables) == (action == "warn")


def test_too_few_stays_tell_nothing(tmp_path):
    place = Workspace(tmp_path)
    _hospital(place, coded_at_discharge=True, order_before_leaving=True)
    build_sequences(place, NIGHT, _config(), "all")
    sequences = load_sequences(place.sequences(NIGHT))
    few = sequences.select(np.arange(len(sequences)) < 20)
    few = followed_up(few, _config().cutoff_instant(NIGHT))
    few = replace(few, told_with_end={"disease": (9, 9)})
    assert find_leaks(few, nightly_points(few, _config().cutoff_instant(NIGHT)), ["disease"], few.variables) == ()

