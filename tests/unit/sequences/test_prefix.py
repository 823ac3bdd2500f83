"""The prefix rule: what training sees at a night's cutoff is what that night saw, bit for bit."""

import math
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.lake.schemas import admitted_schema
from medlstm.sequences.build import build_sequences
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import parse_config
from tests.unit.sequences.nights_one_by_one import House, as_written

# The clocks of Berlin went forward in the night to 29 March.
DAYS = [date(2026, 3, day) for day in (27, 28, 29, 30)]
BEGIN = datetime(2026, 3, 26, 20, tzinfo=UTC)
NAMES = ("s", "t")
VARIABLES = ("crp", "hr")


def _config(bin_hours, **sequences):
    source = {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]}
    return parse_config(
        {"source": source, "workspace": {"timezone": "Europe/Berlin"}, "features": {"categorical": ["ward"]},
         "sequences": {"shards": 1, "bin_hours": bin_hours, "pre_admission_hours": 6} | sequences,
         "contracts": {"stop_orphan_share": 1.0}}, {}, "test",
    )  # fmt: skip


def _hospital(seed):
    """Rows of stays and observations by date: transfers, ends told late and put right, rows that come late, again,
    otherwise or as taken back, and some that tell of what is to come."""
    generator = np.random.default_rng(seed)

    def moment():
        return BEGIN + timedelta(minutes=15 * int(generator.integers(0, 4 * 24 * 4)))

    stays, rows = [], []
    for name in NAMES:
        admitted = moment() - timedelta(hours=int(generator.integers(0, 24)))
        for day in sorted(generator.choice(len(DAYS), int(generator.integers(1, 5)), replace=False).tolist()):
            end = max(moment(), admitted + timedelta(minutes=5)) if generator.random() < 0.4 else None
            stays.append({"stay_id": name, "patient_id": name, "admitted_at": admitted, "discharged_at": end,
                          "ward": generator.choice(["A", "B", None]), "extract_date": DAYS[day]})  # fmt: skip
    for _ in range(30):
        key = rows[generator.integers(len(rows))] if rows and generator.random() < 0.45 else None
        retracted = key is not None and generator.random() < 0.4
        day = DAYS[generator.integers(len(DAYS))]
        latest = datetime.combine(day, time(12), tzinfo=UTC) + timedelta(days=1)
        row = {"stay_id": str(generator.choice(NAMES)), "observed_at": min(moment(), latest),
               "variable": str(generator.choice(VARIABLES))}  # fmt: skip
        rows.append(row | {name: key[name] for name in row if key} | {
            "value": None if retracted else float(generator.integers(0, 3)), "retracted": retracted or None,
            "extract_date": max(day, key["extract_date"]) if key else day,
        })  # fmt: skip
    # Rows of a date are in the order in which they stand in the file.
    return sorted(stays, key=lambda row: row["extract_date"]), sorted(rows, key=lambda row: row["extract_date"])


def _land(place, stays, rows):
    for table, records, statics in (("stays", stays, ["ward"]), ("observations", rows, [])):
        schema = admitted_schema(table, [], statics)
        if table == "observations":
            schema = schema.append(pa.field("retracted", pa.bool_())) if "retracted" not in schema.names else schema
        for day in DAYS:
            of_day = [row | {"source_file": "f", "source_row": number} for number, row in enumerate(records)
                      if row["extract_date"] == day]  # fmt: skip
            write_table(pa.Table.from_pylist(of_day, schema=schema), partition_file(place.admitted(table), day))


def _told(place, day, config):
    """Per stay: of each step the values by variable with their lateness in steps, and the ward."""
    build_sequences(place, day, config, "all")
    sequences = load_sequences(place.sequences(day), beyond_the_end=True)
    late = {(int(row), int(variable)): float(hours) / sequences.bin_hours for row, variable, hours in
            zip(sequences.late.row, sequences.late.variable, sequences.late.hours, strict=True)}  # fmt: skip
    found = {}
    for index, name in enumerate(sequences.stays["stay_id"]):
        steps = [{} for _ in range(int(sequences.steps[index]))]
        for row in np.flatnonzero(sequences.stay == index):
            for column, variable in enumerate(sequences.variables):
                value, by = float(sequences.values[row, column]), late.get((int(row), column), 0.0)
                if not math.isnan(value) or math.isinf(by):
                    steps[int(sequences.step[row])][variable] = (value, by)
        found[name] = (steps, _wards(sequences, index, len(steps)))
    return found


def _wards(sequences, index, steps):
    own = sequences.statics.stay == index
    if not own.any():
        return [sequences.stays["ward"][index]] * steps
    versions = list(zip(sequences.statics.from_step[own], sequences.statics.frame["ward"][own], strict=True))
    return [[ward for first, ward in versions if first <= step][-1] for step in range(steps)]


def _plain(steps_and_wards):
    """Comparable: NaN as a word, and a missing ward as None."""
    steps, wards = steps_and_wards
    told = [{name: ("nothing" if math.isnan(value) else value, late) for name, (value, late) in sorted(step.items())}
            for step in steps]  # fmt: skip
    return told, [ward if isinstance(ward, str) else None for ward in wards]


def _house(config):
    days = [DAYS[0] - timedelta(days=back) for back in (3, 2, 1)] + DAYS
    return House(
        {day: config.cutoff_instant(day) for day in days}, timedelta(hours=config.sequences.bin_hours),
        timedelta(hours=config.sequences.pre_admission_hours),
    )  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 6]))
def test_every_night_sees_what_it_saw_and_each_later_one_begins_with_it(seed, bin_hours):
    """Against the nights told one by one, with late, corrected and retracted rows, transfers, and ends told late."""
    stays, rows = _hospital(seed)
    config = _config(bin_hours)
    with TemporaryDirectory() as name:
        place = Workspace(Path(name))
        _land(place, stays, rows)
        by_night = [{stay: _plain(told) for stay, told in _told(place, day, config).items()} for day in DAYS]
    for day, found in zip(DAYS, by_night, strict=True):
        for stay in NAMES:
            own = [row for row in stays if row["stay_id"] == stay]
            truth = as_written(_house(config), own, [row for row in rows if row["stay_id"] == stay], day)
            assert (truth is None) == (stay not in found)
            if truth is not None:
                assert found[stay] == _plain((truth.steps, truth.wards))
    for earlier, later in pairwise(by_night):
        for stay, (steps, wards) in earlier.items():
            assert (steps, wards) == tuple(part[: len(steps)] for part in later[stay])


def _late_lab(place):
    """A stay of three nights: its laboratory value of the first day arrives on the second."""
    admitted = datetime(2026, 3, 27, 8, tzinfo=UTC)
    stay = {"stay_id": "s", "patient_id": "s", "admitted_at": admitted, "ward": "A"}
    row = {"stay_id": "s", "observed_at": admitted + timedelta(hours=1), "variable": "crp", "value": 80.0}
    _land(place, [stay | {"extract_date": DAYS[0]}], [row | {"extract_date": DAYS[1]}])


def test_a_late_value_enters_after_the_cutoff_of_the_night_that_missed_it(tmp_path):
    place = Workspace(tmp_path)
    _late_lab(place)
    first, second = (_told(place, day, _config(1))["s"][0] for day in DAYS[:2])
    # From 08:00 UTC to midnight in Berlin fifteen steps had begun; hour 1 is fourteen steps before the next one.
    assert len(first) == 15
    assert first == [{}] * 15
    assert [(step, told) for step, told in enumerate(second) if told] == [(15, {"crp": (80.0, 14.0)})]


def test_without_the_rule_training_would_see_what_no_night_saw(tmp_path):
    place = Workspace(tmp_path)
    _late_lab(place)
    first, second = (_told(place, day, _config(1, by_arrival=False))["s"][0] for day in DAYS[:2])
    assert first != second[: len(first)]
    assert second[1] == {"crp": (80.0, 0.0)}


def test_a_diagnosis_that_comes_with_the_discharge_is_never_seen(tmp_path):
    place = Workspace(tmp_path)
    admitted = datetime(2026, 3, 27, 8, tzinfo=UTC)
    stay = {"stay_id": "s", "patient_id": "s", "admitted_at": admitted, "discharged_at": None, "ward": None}
    end = admitted + timedelta(hours=40)
    _land(place, [stay | {"extract_date": DAYS[0]}, stay | {"extract_date": DAYS[1], "ward": "B"},
                  stay | {"extract_date": DAYS[2], "discharged_at": end, "ward": "C"}], [])  # fmt: skip
    steps, wards = _told(place, DAYS[3], _config(1))["s"]
    assert len(steps) == 40
    assert [ward if isinstance(ward, str) else None for ward in wards] == [None] * 15 + ["B"] * 25


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_steps_close_with_the_cutoff_of_the_night_that_had_begun_them(tmp_path, zone):
    place = Workspace(tmp_path)
    admitted = datetime(2026, 3, 27, 8, 20, tzinfo=UTC)
    _land(place, [{"stay_id": "s", "patient_id": "s", "admitted_at": admitted, "ward": "A",
                   "extract_date": DAYS[0]}], [])  # fmt: skip
    config = _config(1)
    config = config.model_copy(update={"workspace": config.workspace.model_copy(update={"timezone": zone})})
    for day in DAYS[1:3]:
        build_sequences(place, day, config, "all")
    then, later = (load_sequences(place.sequences(day)) for day in DAYS[1:3])
    last = int(then.steps[0]) - 1
    cutoff = (config.cutoff_instant(DAYS[1]) - admitted) / timedelta(hours=1)
    assert then.closes_hours(np.array([0]), np.array([last]))[0] == pytest.approx(cutoff)
    every = np.arange(last + 1)
    np.testing.assert_array_equal(then.closes_hours(0 * every, every), later.closes_hours(0 * every, every))
