from datetime import date, timedelta

import pytest

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.history.replay_workspace import replay_workspace
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace, read_table
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import load_config
from tests.unit.night import admitted

START = date(2026, 3, 27)
DAYS = [START + timedelta(days=offset) for offset in range(3)]
CONFIG = """
[workspace]
timezone = "Europe/Berlin"
[source]
format = "csv"
[[source.files]]
pattern = "*encounters*"
table = "stays"
columns = { stay_id = "Id", patient_id = "PATIENT", admitted_at = "START", discharged_at = "STOP", ward = "UNIT" }
keep = { CLASS = ["inpatient"] }
[[source.files]]
pattern = "*labs*"
table = "observations"
columns = { stay_id = "ENCOUNTER", observed_at = "DATE", variable = "CODE", value = "VALUE" }
units = { glucose = "mmol/L" }
[features]
categorical = ["ward"]
"""
ENCOUNTERS = """Id,PATIENT,START,STOP,UNIT,CLASS
old,p1,2026-03-01 10:00,2026-03-05 10:00,a,inpatient
long,p2,2026-03-20 10:00,2026-03-28 12:00,a,inpatient
new,p3,2026-03-28 23:30,,b,inpatient
later,p4,2026-04-02 10:00,,b,inpatient
visit,p5,2026-03-28 10:00,2026-03-28 11:00,a,ambulatory
"""
LABS = """ENCOUNTER,DATE,CODE,VALUE
old,2026-03-02 10:00,glucose,5.5
long,2026-03-27 23:59,glucose,5.5
long,2026-03-28 00:00,HR,80
new,2026-03-28 23:45,HR,81
new,2026-04-01 10:00,HR,82
new,2026-03-29 10:00,HR,none
"""


@pytest.fixture
def hospital(tmp_path):
    export = tmp_path / "export" / "2026"
    export.mkdir(parents=True)
    (export / "encounters.csv").write_text(ENCOUNTERS)
    (export / "labs.csv").write_text(LABS)
    root = tmp_path / "w"
    root.mkdir()
    (root / "medlstm.toml").write_text(CONFIG)
    return root


def _replayed(root):
    export = str(root.parent / "export")
    return replay_workspace(Workspace(root), [export], START, len(DAYS), load_config(root))


def test_each_row_lands_on_the_date_on_which_it_had_happened(hospital):
    summary = _replayed(hospital)
    assert (summary.stays, summary.stays_after_the_last_date) == (3, 1)
    assert (summary.observations, summary.observations_after_the_last_date) == (4, 1)
    assert (summary.files, summary.rows_in, summary.quarantined) == (2, 10, 1)
    landed = [hospital / "landing" / day.isoformat() / "replayed" for day in DAYS]
    stays = [read_table(folder / "stays.parquet").to_pylist() for folder in landed]
    assert [[(row["stay_id"], row["discharged_at"]) for row in day] for day in stays] == [
        [("long", None), ("old", "2026-03-05T09:00:00Z")],
        [("long", "2026-03-28T11:00:00Z"), ("new", None)],
        [],
    ]
    times = [read_table(folder / "observations.parquet").column("observed_at").to_pylist() for folder in landed]
    assert [len(day) for day in times] == [2, 2, 0]
    assert not (hospital / "lake" / ".scratch" / "replay").exists()


def test_the_drops_are_taken_in_as_they_are_whatever_the_mapping_says(hospital):
    _replayed(hospital)
    place, config = Workspace(hospital), load_config(hospital)
    for day in DAYS:
        ingest_date(place, day, config)
        reports = validate_date(place, day, config).reports
        assert not any(report.quarantined for report in reports)
    first = admitted(hospital, "observations", START)
    assert [round(row["value"], 1) for row in first] == [99.1, 99.1]  # converted once
    assert first[0]["observed_at"].isoformat() == "2026-03-27T22:59:00+00:00"
    cohort = load_cohort(place, DAYS[0], config).frame.set_index("stay_id")
    assert cohort["is_open"].to_dict() == {"long": True, "old": False}
    cohort = load_cohort(place, DAYS[2], config).frame.set_index("stay_id")
    assert cohort["is_open"].to_dict() == {"long": False, "new": True, "old": False}
    assert cohort["ward"].to_dict() == {"long": "a", "new": "b", "old": "a"}


def test_a_replay_run_again_gives_the_same_bytes_and_own_files_of_a_date_are_read_beside_it(hospital):
    _replayed(hospital)
    before = {path: path.read_bytes() for path in (hospital / "landing").rglob("*.parquet")}
    _replayed(hospital)
    assert {path: path.read_bytes() for path in (hospital / "landing").rglob("*.parquet")} == before
    (hospital / "landing" / START.isoformat() / "labs.csv").write_text(
        "ENCOUNTER,DATE,CODE,VALUE\nlong,2026-03-27 08:00,HR,70\n"
    )
    summary = ingest_date(Workspace(hospital), START, load_config(hospital))
    assert (summary.files_read, summary.observations) == (3, 3)
