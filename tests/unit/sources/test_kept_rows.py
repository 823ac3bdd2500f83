"""Drops that hold only what is new: joins find what earlier drops told, as of each date."""

from datetime import date, timedelta

import pytest

from medlstm.errors import ConfigError
from medlstm.ingest.landing_to_raw import dates_to_ingest, ingest_date, ingest_dates, ingest_planned, plan_dates
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.settings.workspace import parse_config
from medlstm.sources import kept_rows
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

FIRST = date(2026, 3, 26)
DAYS = [FIRST + timedelta(days=offset) for offset in range(3)]
PATIENTS = {"name": "patients", "pattern": "patients*", "on": {"PATIENT": "Id"}, "keep_as": "patients"}
STAYS = {
    "pattern": "encounters*", "table": "stays", "joins": [PATIENTS], "keep": {"CLASS": ["inpatient"]},
    "columns": {"stay_id": "Id", "patient_id": "PATIENT", "admitted_at": "START", "discharged_at": "STOP",
                "gender": "patients.GENDER"},
}  # fmt: skip
STAY = {
    "name": "stay", "pattern": "encounters*", "on": {"PATIENT": "PATIENT"}, "keep": {"CLASS": ["inpatient"]},
    "between": {"time": "DATE", "start": "START", "stop": "STOP"}, "keep_as": "encounters",
}  # fmt: skip
LABS = {
    "pattern": "labs*", "table": "observations", "joins": [STAY],
    "columns": {"stay_id": "stay.Id", "observed_at": "DATE", "variable": "CODE", "value": "VALUE"},
}  # fmt: skip
DROPS = (
    {
        "patients.csv": "Id,GENDER,NAME\np1,F,Alice\np2,M,Bob\n",
        "encounters.csv": "Id,PATIENT,START,STOP,CLASS\ne1,p1,2026-03-26T08:00,,inpatient\n"
                          "e9,p2,2026-03-26T08:00,2026-03-26T09:00,ambulatory\n",
        "labs.csv": "PATIENT,DATE,CODE,VALUE\np1,2026-03-26T09:00,HR,80\n",
    },
    {
        "encounters.csv": "Id,PATIENT,START,STOP,CLASS\ne2,p2,2026-03-27T08:00,,inpatient\n",
        "labs.csv": "PATIENT,DATE,CODE,VALUE\n p1 ,2026-03-27T09:00,HR,81\np2,2026-03-27T09:00,HR,82\n",
    },
    {
        "patients.csv": "Id,GENDER,NAME\np1,X,Alice\n",
        "encounters.csv": "Id,PATIENT,START,STOP,CLASS\ne1,p1,2026-03-26T08:00,2026-03-28T10:00,inpatient\n"
                          "e2,p2,2026-03-27T08:00,,ambulatory\n",
        "labs.csv": "PATIENT,DATE,CODE,VALUE\np1,2026-03-28T09:00,HR,83\np1,2026-03-28T11:00,HR,84\n"
                    "p2,2026-03-28T09:00,HR,85\n",
    },
)  # fmt: skip


def _config(*files, **sections):
    base = {"source": {"format": "csv", "files": list(files or (STAYS, LABS))},
            "features": {"categorical": ["gender"]}, "contracts": {"min_quarantined_rows": 100}}  # fmt: skip
    return parse_config(base | sections, {}, "test")


@pytest.fixture
def hospital(tmp_path):
    for day, drop in zip(DAYS, DROPS, strict=True):
        folder = tmp_path / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        for name, content in drop.items():
            (folder / name).write_text(content)
    return tmp_path


def _lake(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("raw", "reference")
        for path in sorted((root / "lake" / folder).rglob("*.parquet"))
    }


def _stays_of(root, day):
    return [(row["stay_id"], row["value"]) for row in raw(root, "observations", day)]


def test_results_of_a_drop_without_encounters_find_those_of_earlier_drops(hospital):
    for day in DAYS[:2]:
        take_in_and_validate(hospital, day, _config())
    rows = [(row["stay_id"], row["value"]) for day in DAYS[:2] for row in admitted(hospital, "observations", day)]
    assert rows == [("e1", 80), ("e1", 81), ("e2", 82)]
    assert not quarantined(hospital, "observations", DAYS[1])
    (stay,) = raw(hospital, "stays", DAYS[1])
    assert (stay["stay_id"], stay["gender"]) == ("e2", "M")


def test_the_newest_row_of_an_encounter_takes_the_place_of_older_ones(hospital):
    for day in DAYS:
        summary = take_in(hospital, day, _config())
    # e1 ended at 10:00; e2 is no inpatient any more, so that its older row must not answer for it.
    assert _stays_of(hospital, DAYS[2]) == [("e1", "83")]
    assert sum(rows for what, rows in summary.left_out.items() if "of no stay that the join stay keeps" in what) == 2
    assert raw(hospital, "stays", DAYS[2])[0]["gender"] == "X"
    assert raw(hospital, "stays", DAYS[0])[0]["gender"] == "F"


def test_a_past_date_run_again_knows_what_it_knew(hospital):
    for day in DAYS:
        take_in(hospital, day, _config())
    before = _lake(hospital)
    for day in reversed(DAYS):
        take_in(hospital, day, _config())
    assert _lake(hospital) == before
    assert len(before) == 12


def test_dates_that_are_taken_in_side_by_side_and_in_any_order_give_the_same_bytes(hospital, tmp_path_factory):
    place, config = Workspace(hospital), _config()
    for planned in reversed(plan_dates(place, dates_to_ingest(place, DAYS[2]), config)):
        ingest_planned(place, planned, config)
    together = _lake(hospital)
    for path in (hospital / "lake").rglob("*.*"):
        if path.is_file():
            path.unlink()
    for day in DAYS:
        ingest_date(place, day, config)
    assert _lake(hospital) == together
    list(ingest_dates(place, DAYS, config))
    assert _lake(hospital) == together


def test_a_correction_that_comes_late_counts_from_the_date_on_which_it_came(hospital):
    for day in DAYS[:2]:
        take_in(hospital, day, _config())
    (hospital / "landing" / DAYS[0].isoformat() / "patients-2.csv").write_text("Id,GENDER,NAME\np2,D,Bob\n")
    own = hospital / "landing" / DAYS[2].isoformat() / "patients.csv"
    own.write_text("Id,GENDER,NAME\np2,X,Bob\n")
    take_in(hospital, DAYS[2], _config())
    before = raw(hospital, "stays", DAYS[1])
    take_in(hospital, DAYS[1], _config())
    assert raw(hospital, "stays", DAYS[1]) == before
    assert before[0]["gender"] == "M"
    assert [row["gender"] for row in raw(hospital, "stays", DAYS[2])] == ["F"]
    kept = _kept(hospital, "patients", DAYS[2])
    # What came late for an earlier date is older than what came for the date itself.
    files = ["2026-03-26/patients-2.csv", "patients.csv"]
    assert [(row["Id"], row["GENDER"], row["source_file"]) for row in kept] == [
        ("p2", "D", files[0]), ("p2", "X", files[1]),
    ]  # fmt: skip


def _kept(root, table, day):
    return read_table(partition_file(Workspace(root).reference(table), day)).to_pylist()


def test_only_the_columns_that_joins_use_are_kept(hospital):
    take_in(hospital, DAYS[0], _config())
    assert set(_kept(hospital, "patients", DAYS[0])[0]) == {"Id", "GENDER", "source_file", "source_row", "extract_date"}


def test_a_large_table_is_asked_for_each_batch_and_answers_the_same(hospital, monkeypatch):
    for day in DAYS:
        take_in(hospital, day, _config())
    before = _lake(hospital)
    monkeypatch.setattr(kept_rows, "_HELD_SHARE", 0.0)
    for day in DAYS:
        take_in(hospital, day, _config())
    assert _lake(hospital) == before


def test_what_is_not_known_yet_and_what_was_not_mapped_then_is_said(hospital):
    (hospital / "landing" / DAYS[0].isoformat() / "patients.csv").unlink()
    told = take_in(hospital, DAYS[0], _config()).warnings
    assert any("of what is kept as patients no row is known yet" in one for one in told)
    assert any("2 rows have no row in patients* (join patients)" in one for one in told)
    named = STAYS | {"columns": STAYS["columns"] | {"name": "patients.NAME"}}
    wider = _config(named, LABS, features={"categorical": ["gender", "name"]})
    told = take_in(hospital, DAYS[1], wider).warnings
    assert any("some dates lack NAME" in one and "medlstm backfill" in one for one in told)


def test_the_files_that_are_kept_are_read_and_named_once(hospital):
    summary = take_in(hospital, DAYS[0], _config())
    assert summary.files_read == 3
    (hospital / "landing" / DAYS[1].isoformat() / "patients.csv").write_text("Id,SEX\np1,F\n")
    summary = take_in(hospital, DAYS[1], _config())
    (unfit,) = summary.unreadable
    assert "the column GENDER (of the join patients) is missing" in unfit.reason


def test_keep_as_of_a_file_is_that_of_the_joins_with_its_pattern(hospital):
    join = {name: value for name, value in STAY.items() if name != "keep_as"}
    config = _config(STAYS | {"keep_as": "encounters"}, LABS | {"joins": [join]})
    for day in DAYS:
        take_in(hospital, day, config)
    assert _stays_of(hospital, DAYS[1]) == [("e1", "81"), ("e2", "82")]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([STAYS, LABS | {"keep_as": "labs"}], "no join has the pattern 'labs"),
        ([STAYS, LABS | {"joins": [STAY | {"keep_as": "patients"}]}], "kept of files of two patterns"),
        ([STAYS | {"joins": [{"name": "p", "pattern": "p*", "on": {"PATIENT": "Id"}, "key": ["Id"]}]}], "key of"),
        ([STAYS | {"joins": [PATIENTS | {"keep_as": "../patients"}]}], "keep_as"),
    ],
)
def test_settings_that_keep_nothing_or_too_much_are_refused(files, said):
    with pytest.raises(ConfigError, match=said):
        _config(*files)
