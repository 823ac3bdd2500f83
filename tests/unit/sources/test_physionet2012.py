import io
import tarfile
from datetime import UTC, date, datetime, timedelta

import pytest

from medlstm.errors import LandingError
from medlstm.ingest.landing_to_raw import shown_name
from medlstm.lake.files import Workspace, read_table
from medlstm.onboarding.replay import replay_physionet2012
from medlstm.settings.workspace import parse_config
from medlstm.sources.physionet2012 import read_outcomes
from medlstm.sources.physionet2012_records import read_records, record_files
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)
CONFIG = parse_config(
    {
        "source": {"format": "physionet2012"},
        "features": {"numeric": ["Age", "Height", "Weight"], "categorical": ["Gender", "ICUType"]},
    },
    {},
    "test",
)
HEADER = "Time,Parameter,Value\n"


def _record(number, *lines, age=61):
    descriptors = (f"RecordID,{number}", f"Age,{age}", "Gender,1", "Height,-1", "ICUType,3", "Weight,-1")
    return HEADER + "".join(f"00:00,{line}\n" for line in descriptors) + "".join(f"{line}\n" for line in lines)


RECORDS = {
    "1.txt": _record(1, "00:07,HR,80", "01:30,Temp,37.5", "01:30,,5", "47:59,HR,1.2e+02", "02:00,Weight,81"),
    "2.txt": _record(2, "05:61,HR,70", "what is this line", "03:00,HR,x"),
    "3.txt": _record(3, "00:30,HR,90"),
}
OUTCOMES = (
    "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n"
    "1,6,1,5,-1,0\n2,16,8,8,-1,1\n3,21,11,-1,-1,0\n"
)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    for name, text in RECORDS.items():
        (place / name).write_text(text)
    return place


def _read(files):
    return next(read_records(files))


def _archive(path):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in RECORDS.items():
            member = tarfile.TarInfo(f"set-x/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_descriptors_become_statics_and_minus_one_becomes_missing(folder):
    records = _read(record_files(folder))
    first = records.descriptors.iloc[0]
    assert (first["stay_id"], first["Age"], first["Gender"], first["ICUType"]) == ("1", "61", "male", "medical")
    assert records.descriptors[["Height", "Weight"]].isna().all().all()
    assert records.malformed == (("2.txt", 8, "what is this line"),)


def test_folder_and_archive_give_the_same_measurements(folder, tmp_path):
    from_folder = _read(record_files(folder))
    from_archive = _read(record_files(_archive(tmp_path / "set-x.tar.gz")))
    columns = ["stay_id", "minutes", "variable", "value", "source_row"]
    rows = [records.measurements.select(columns).to_pylist() for records in (from_folder, from_archive)]
    assert rows[0] == rows[1]
    assert from_folder.measurements.column("minutes").to_pylist()[:2] == [7.0, 90.0]


def test_dropped_records_are_open_without_an_outcome_and_ended_with_one(folder, tmp_path):
    take_in_and_validate(tmp_path, DAY, CONFIG)
    stays = admitted(tmp_path, "stays", DAY)
    end = datetime(2026, 3, 29, tzinfo=UTC)
    assert {(row["admitted_at"], row["discharged_at"]) for row in stays} == {(end - timedelta(hours=48), None)}
    (folder / "Outcomes-x.txt").write_text(OUTCOMES)
    take_in_and_validate(tmp_path, DAY, CONFIG)
    stays = admitted(tmp_path, "stays", DAY)
    assert [(row["discharged_at"] - row["admitted_at"]).days for row in stays] == [5, 8]
    assert [row["died"] for row in stays] == [False, True]
    assert [row["rule"] for row in quarantined(tmp_path, "stays", DAY)] == ["negative_length_of_stay"]


def test_every_bad_measurement_is_quarantined_and_none_is_lost(folder, tmp_path):
    assert take_in(tmp_path, DAY, CONFIG).observations == 9
    report = take_in_and_validate(tmp_path, DAY, CONFIG)["observations"]
    rules = sorted(row["rule"] for row in quarantined(tmp_path, "observations", DAY))
    assert rules == ["not_a_number", "not_a_timestamp", "ragged_line", "variable_missing"]
    assert report.admitted == 5


def test_a_damaged_archive_and_a_foreign_file_are_named(folder, tmp_path):
    archive = _archive(tmp_path / "set-x.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-60])
    (folder / "4.txt").write_text("a,b,c\n1,2,3\n")
    records = _read([*record_files(folder), *record_files(archive)])
    assert {file.source_file for file in records.unreadable} == {"4.txt", "set-x.tar.gz"}
    assert set(records.descriptors["stay_id"]) >= {"1", "2", "3"}


def test_outcomes_without_a_column_name_it(tmp_path):
    path = tmp_path / "Outcomes-x.txt"
    path.write_text("RecordID,Length_of_stay\n1,5\n")
    with pytest.raises(LandingError, match="In-hospital_death is missing"):
        read_outcomes(path)


def test_a_replay_delivers_each_stay_at_admission_and_at_discharge(folder, tmp_path):
    (folder / "Outcomes-x.txt").write_text(OUTCOMES)
    place = Workspace(tmp_path / "w")
    summary = replay_physionet2012([folder], [folder / "Outcomes-x.txt"], place, DAY, 20, CONFIG)
    assert (summary.stays, summary.left_out_unknown_length) == (2, 1)
    days = [DAY + timedelta(days=offset) for offset in range(20)]
    known = [(row["stay_id"], row["discharged_at"] is None, day)
             for day in days for row in read_table(place.landing(day) / "stays.parquet").to_pylist()]  # fmt: skip
    admitted = {stay: day for stay, is_open, day in known if is_open}
    ended = {stay: day for stay, is_open, day in known if not is_open}
    assert set(admitted) == {"1", "2"}
    assert all((ended[stay] - admitted[stay]).days in (5, 8) for stay in ended)
    for day in days:
        take_in(place.root, day, CONFIG)
    assert sum(len(raw(place.root, "observations", day)) for day in days) == summary.observations
    assert summary.observations + summary.observations_after_the_last_date == 8


def test_a_late_laboratory_delivers_its_results_a_day_later_and_the_bedside_does_not(folder, tmp_path):
    (folder / "1.txt").write_text(_record(1, "00:07,HR,80", "00:07,Lactate,2.1", "00:09,pH,7.4"))
    (folder / "Outcomes-x.txt").write_text(OUTCOMES)
    arrived = {}
    for late in (0.0, 24.0):
        place = Workspace(tmp_path / str(late))
        replay_physionet2012([folder], [folder / "Outcomes-x.txt"], place, DAY, 20, CONFIG, lab_hours_late=late)
        for day in (DAY + timedelta(days=offset) for offset in range(20)):
            for row in read_table(place.landing(day) / "observations.parquet").to_pylist():
                if row["stay_id"] == "1" and row["variable"] in ("HR", "Lactate", "pH"):
                    arrived[late, row["variable"]] = day, row["observed_at"]
    for name, days in (("HR", 0), ("Lactate", 1), ("pH", 1)):
        (then, at), (later, same) = arrived[0.0, name], arrived[24.0, name]
        assert at == same
        assert (later - then).days == days


def test_a_file_named_by_its_stay_is_shown_without_the_number():
    assert shown_name("132539.txt") == "######.txt"
    assert shown_name("stays.csv") == "stays.csv"
