"""What comes late, twice, in halves or as a correction: the as-of view is right on every date before and after."""

import shutil
from datetime import date

import numpy as np
import pytest

from medlstm.contracts.raw_to_admitted import dates_to_validate, validate_dates
from medlstm.errors import LandingError
from medlstm.ingest.delivered_files import read_delivery
from medlstm.ingest.landing_to_raw import dates_to_ingest, ingest_date, ingest_dates
from medlstm.lake.audit_log import read_audit
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import parse_config

DAYS = [date(2026, 1, day) for day in range(1, 6)]
STAYS = "stay_id,patient_id,admitted_at,discharged_at,retracted\n"
LABS = "stay_id,observed_at,variable,value,wrong\n"
CONFIG = parse_config(
    {
        "source": {
            "format": "csv",
            "files": [
                {"pattern": "stays*", "table": "stays"},
                {"pattern": "labs*", "table": "observations", "columns": {"retracted": "wrong"}},
            ],
        },
        "sequences": {"shards": 2},
        "contracts": {"max_quarantined_share": 1.0},
    },
    {},
    "test",
)


@pytest.fixture
def place(tmp_path):
    return Workspace(tmp_path)


def _drop(place, day, **files):
    folder = place.landing(day)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text((STAYS if name.startswith("stays") else LABS) + text)


def _night(place, day):
    """The first half of the night `day`; {(stay, hour): value} of HR, as the night knows it."""
    for one in dates_to_ingest(place, day):
        ingest_date(place, one, CONFIG)
    list(validate_dates(place, dates_to_validate(place, day), CONFIG))
    return _view(place, day)


def _view(place, day):
    build_sequences(place, day, CONFIG, "all")
    night = load_sequences(place.sequences(day))
    if "HR" not in night.variables:
        return {}
    ids, values = night.stays["stay_id"], night.values[:, night.variables.index("HR")]
    cells = zip(night.stay, night.step, values, strict=True)
    return {(ids[stay], int(step)): float(value) for stay, step, value in cells if not np.isnan(value)}


def _bytes(place, day):
    return {path.name: path.read_bytes() for path in sorted(place.sequences(day).iterdir())}


def _stay(day, hour=0, end="", stay="a", wrong=""):
    return f"{stay},p-{stay},{day}T{hour:02}:00:00,{end},{wrong}\n"


def _lab(day, hour, value, stay="a", wrong=""):
    return f"{stay},{day}T{hour:02}:30:00,HR,{value},{wrong}\n"


def test_a_late_row_and_a_correction_count_from_the_night_they_came(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=_lab(DAYS[0], 1, 80) + _lab(DAYS[0], 2, 81))
    first = _night(place, DAYS[0])
    _drop(place, DAYS[1], stays="", labs=_lab(DAYS[0], 1, 90) + _lab(DAYS[0], 5, 85))
    assert first == {("a", 1): 80, ("a", 2): 81}
    # What was the past stays so, and an older value than the one that is known says nothing new.
    assert _night(place, DAYS[1]) == {("a", 1): 80, ("a", 2): 81, ("a", 24): 85}
    assert _view(place, DAYS[0]) == first


def test_a_retraction_takes_a_row_back_and_from_then_on_what_was_before_it_stands(place):
    labs = f"a,{DAYS[0]}T01:10:00,HR,70,\n" + _lab(DAYS[0], 1, 80) + _lab(DAYS[0], 2, 300)
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=labs)
    _drop(place, DAYS[1], stays="", labs=_lab(DAYS[0], 1, "", wrong="yes") + _lab(DAYS[0], 2, "", wrong="1"))
    _drop(place, DAYS[2], stays="", labs=_lab(DAYS[0], 2, 82))
    assert _night(place, DAYS[0]) == {("a", 1): 80, ("a", 2): 300}
    assert _night(place, DAYS[1]) == {("a", 1): 80, ("a", 2): 300, ("a", 24): 70}
    assert _night(place, DAYS[2]) == {("a", 1): 80, ("a", 2): 300, ("a", 24): 70, ("a", 48): 82}


def test_a_value_that_is_taken_back_on_its_own_day_leaves_what_was_before_it_in_the_bin(place):
    labs = f"a,{DAYS[0]}T01:10:00,HR,70,\n" + _lab(DAYS[0], 1, 80) + _lab(DAYS[0], 1, "", wrong="yes")
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=labs)
    assert _night(place, DAYS[0]) == {("a", 1): 70}


def test_a_stay_that_was_entered_in_error_is_in_no_night_after(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]) + _stay(DAYS[0], stay="b"))
    _drop(place, DAYS[1], stays=_stay(DAYS[0], stay="b", wrong="true"))
    for day in DAYS[:2]:
        _night(place, day)
    assert list(load_cohort(place, DAYS[0], CONFIG).frame["stay_id"]) == ["a", "b"]
    assert list(load_cohort(place, DAYS[1], CONFIG).frame["stay_id"]) == ["a"]


def test_a_discharge_that_comes_days_late_is_known_from_then_on(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]))
    _drop(place, DAYS[1], stays="")
    _drop(place, DAYS[3], stays=_stay(DAYS[0], end=f"{DAYS[0]}T20:00:00"))
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        _night(place, day)
    known = [load_cohort(place, day, CONFIG).frame.iloc[0] for day in (DAYS[0], DAYS[1], DAYS[3])]
    assert [bool(stay["is_open"]) for stay in known] == [True, True, False]
    assert [stay["duration_hours"] for stay in known] == [24.0, 48.0, 20.0]


def test_an_extract_delivered_twice_changes_nothing(place):
    labs = _lab(DAYS[0], 1, 80) + _lab(DAYS[0], 2, 81)
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=labs, labs_again=labs)
    first = _night(place, DAYS[0])
    assert first == {("a", 1): 80, ("a", 2): 81}
    reports = next(validate_dates(place, [DAYS[0]], CONFIG)).reports
    assert [report.exact_duplicates for report in reports] == [0, 2]
    _drop(place, DAYS[1], stays=_stay(DAYS[0]), labs=labs)
    assert _night(place, DAYS[1]) == first


def test_a_second_half_is_taken_in_by_the_same_night_run_again(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs1=_lab(DAYS[0], 1, 80))
    assert _night(place, DAYS[0]) == {("a", 1): 80}
    _drop(place, DAYS[0], labs2=_lab(DAYS[0], 2, 81))
    assert _night(place, DAYS[0]) == {("a", 1): 80, ("a", 2): 81}


def test_what_comes_for_a_past_date_belongs_to_the_next_night_and_past_nights_stay_what_they_were(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs1=_lab(DAYS[0], 1, 80))
    _drop(place, DAYS[2], stays="", labs=_lab(DAYS[2], 1, 84))
    nights = {day: _night(place, day) for day in (DAYS[0], DAYS[2])}
    before = {day: _bytes(place, day) for day in nights}
    _drop(place, DAYS[0], labs2=_lab(DAYS[0], 2, 81))
    _drop(place, DAYS[1], stays="", labs=_lab(DAYS[1], 3, 83))
    _drop(place, DAYS[3], stays="")
    summary = ingest_date(place, DAYS[3], CONFIG)
    assert [warning.split(";")[0] for warning in summary.warnings] == [
        f"{DAYS[3]}: 1 files came late for {DAYS[0]}", f"{DAYS[3]}: 2 files came late for {DAYS[1]}",
    ]  # fmt: skip
    after = _night(place, DAYS[3])
    # Both late values are older than the one that is known.
    assert after == {("a", 1): 80, ("a", 49): 84}
    for day, known in nights.items():
        assert _night(place, day) == known
        assert _bytes(place, day) == before[day]
    raw = read_table(partition_file(place.raw("observations"), DAYS[3])).to_pylist()
    assert {row["source_file"] for row in raw} == {f"{DAYS[0]}/labs2.csv", f"{DAYS[1]}/labs.csv"}
    # Nothing is taken in a second time, and the night run again is the same.
    again = _bytes(place, DAYS[3])
    assert _night(place, DAYS[3]) == after
    assert _bytes(place, DAYS[3]) == again
    _drop(place, DAYS[4], stays="")
    assert not ingest_date(place, DAYS[4], CONFIG).warnings


def test_a_file_that_changes_after_its_night_comes_as_a_correction(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=_lab(DAYS[0], 1, 80))
    _drop(place, DAYS[1], stays="")
    for day in DAYS[:2]:
        _night(place, day)
    _drop(place, DAYS[0], labs=_lab(DAYS[0], 1, 99))
    kept = ingest_date(place, DAYS[0], CONFIG)
    assert "has changed; the raw partitions of its night are used" in kept.warnings[0]
    assert _night(place, DAYS[1]) == {("a", 1): 80, ("a", 24): 99}
    assert _night(place, DAYS[0]) == {("a", 1): 80}
    assert ingest_date(place, DAYS[0], CONFIG, reopen=True).observations == 1
    assert _night(place, DAYS[0]) == {("a", 1): 99}


def test_a_past_date_of_which_nothing_was_known_is_refused_and_can_be_reopened(place):
    _drop(place, DAYS[1], stays=_stay(DAYS[1]))
    _night(place, DAYS[1])
    _drop(place, DAYS[0], stays=_stay(DAYS[0]))
    with pytest.raises(LandingError, match=r"belong to the next night.*medlstm bootstrap"):
        ingest_date(place, DAYS[0], CONFIG)
    assert ingest_date(place, DAYS[0], CONFIG, reopen=True).stays == 1


def test_a_workspace_without_its_landing_folders_keeps_its_nights(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=_lab(DAYS[0], 1, 80))
    first = _night(place, DAYS[0])
    shutil.rmtree(place.root / "landing")
    assert _night(place, DAYS[0]) == first


def test_dates_taken_in_together_give_what_they_give_one_by_one(tmp_path):
    places = [Workspace(tmp_path / name) for name in ("together", "single")]
    for place in places:
        for day in DAYS[:4]:
            _drop(place, day, stays=_stay(day, stay=f"s{day.day}"), labs=_lab(day, 1, 80, stay=f"s{day.day}"))
    together = list(ingest_dates(places[0], dates_to_ingest(places[0], DAYS[3]), CONFIG))
    assert together == [ingest_date(places[1], day, CONFIG) for day in DAYS[:4]]
    raws = [place.root / "lake" / "raw" for place in places]
    files = [{path.relative_to(raw): path.read_bytes() for path in raw.rglob("*.parquet")} for raw in raws]
    assert files[0] == files[1]
    assert len(files[0]) == 8


def test_dates_judged_before_a_kill_are_judged_again_after_their_raw_rows_changed(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=_lab(DAYS[0], 1, 80))
    _night(place, DAYS[0])
    _drop(place, DAYS[0], labs=_lab(DAYS[0], 1, 81))
    ingest_date(place, DAYS[0], CONFIG)
    assert dates_to_validate(place, DAYS[1]) == [DAYS[0], DAYS[1]]
    list(validate_dates(place, [DAYS[0]], CONFIG))
    assert dates_to_validate(place, DAYS[1]) == [DAYS[1]]


def test_a_date_killed_before_its_record_is_taken_in_again_by_the_next_night(place, monkeypatch):
    """Its raw rows are newer than its record, so that a later date would find it closed and half of it changed."""
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=_lab(DAYS[0], 1, 80))
    assert _night(place, DAYS[0]) == {("a", 1): 80}
    _drop(place, DAYS[0], labs=_lab(DAYS[0], 1, 81))
    with monkeypatch.context() as patched:
        patched.setattr("medlstm.ingest.landing_to_raw.write_delivery", _killed)
        with pytest.raises(KeyboardInterrupt):
            ingest_date(place, DAYS[0], CONFIG)
    _drop(place, DAYS[1], stays="")
    assert dates_to_ingest(place, DAYS[1]) == DAYS[:2]
    first, second = ingest_dates(place, DAYS[:2], CONFIG)
    assert (first.observations, second.observations, second.warnings) == (1, 0, ())
    assert _night(place, DAYS[1]) == {("a", 1): 81}
    assert dates_to_ingest(place, DAYS[2]) == [DAYS[2]]
    assert _night(place, DAYS[0]) == {("a", 1): 81}


def _killed(*_):
    raise KeyboardInterrupt


def test_the_audit_log_says_which_run_wrote_what_from_which_files(place):
    _drop(place, DAYS[0], stays=_stay(DAYS[0]), labs=_lab(DAYS[0], 1, 80))
    ingest_date(place, DAYS[0], CONFIG, run="night 1")
    with place.audit.open("ab") as log:
        log.write(b'{"torn": ')
    list(validate_dates(place, [DAYS[0]], CONFIG, run="night 1"))
    ingested, validated = read_audit(place)
    assert (ingested["run"], ingested["event"], validated["event"]) == ("night 1", "ingest", "validate")
    delivery = read_delivery(place, DAYS[0])
    assert [file["sha256"] for file in ingested["files"]] == [one.source.sha256 for one in delivery.files]
    written = {one["path"]: one["rows"] for one in ingested["written"] + validated["written"]}
    partition = f"extract_date={DAYS[0]}/part-0.parquet"
    assert written[f"lake/raw/observations/{partition}"] == written[f"lake/observations/{partition}"] == 1


def test_dates_between_landing_folders_are_not_ingested_twice(place):
    for day in (DAYS[0], DAYS[2]):
        _drop(place, day, stays=_stay(day))
    assert dates_to_ingest(place, DAYS[3]) == [DAYS[0], DAYS[2], DAYS[3]]
    ingest_date(place, DAYS[0], CONFIG)
    assert dates_to_ingest(place, DAYS[2]) == [DAYS[2]]
