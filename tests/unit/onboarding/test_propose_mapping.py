import gzip
import shutil
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.command_line.app import app
from medlstm.onboarding.propose_mapping import inspect_files
from medlstm.settings.workspace import parse_config
from medlstm.synthetic.hospital import simulate_hospital
from tests.unit.night import raw, take_in

DAY = date(2026, 3, 28)


def _take_in(tmp_path, files):
    proposal = inspect_files(files)
    config = parse_config(tomllib.loads(proposal.toml), {}, "proposal")
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copy(path, place / path.name)
    return proposal, take_in(tmp_path, DAY, config)


def _write(folder: Path, **files: str) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(text)
        paths.append(path)
    return paths


def test_encounters_patients_and_labs_of_an_export_are_taken_in_by_the_proposal(tmp_path):
    files = _write(
        tmp_path,
        encounters_20260328__csv="Id,START,STOP,PATIENT,ENCOUNTERCLASS\ne1,2026-03-27T10:00:00Z,,p1,inpatient\n",
        patients__csv="Id,BIRTHDATE,GENDER,SSN\np1,1960-03-28,M,999-12-3456\n",
        observations_20260328__csv="DATE,PATIENT,CODE,VALUE,UNITS\n2026-03-27T11:00:00Z,p1,8867-4,80,/min\n",
    )
    proposal, landed = _take_in(tmp_path, files)
    assert (landed.files_read, landed.unreadable, landed.warnings) == (3, (), ())
    (stay,) = raw(tmp_path, "stays", DAY)
    assert (stay["stay_id"], stay["patient_id"], stay["gender"], stay["age"]) == ("e1", "p1", "M", "65")
    (row,) = raw(tmp_path, "observations", DAY)
    assert (row["stay_id"], row["variable"], row["value"]) == ("e1", "8867-4", "80")
    assert 'pattern = "encounters_*.csv"' in proposal.toml
    assert any("reference/variables.csv" in one for one in proposal.undecided)


def test_a_wide_european_file_is_taken_in_by_the_proposal(tmp_path):
    files = _write(tmp_path, kurve__csv="Fall;Zeit;Temp;Bemerkung\n7;27.03.2026 11:30;37,5;gut\n7;27.03.2026 12:30;;\n",
                   faelle__csv="Fall;Aufnahme;Entlassung\n7;27.03.2026 10:00;\n")  # fmt: skip
    proposal, landed = _take_in(tmp_path, files)
    (row,) = raw(tmp_path, "observations", DAY)
    assert (row["observed_at"], row["variable"], row["value"]) == ("2026-03-27T11:30:00", "Temp", "37.5")
    assert raw(tmp_path, "stays", DAY)[0]["admitted_at"] == "2026-03-27T10:00:00"
    assert landed.unreadable == ()
    assert any("Bemerkung" in one for one in proposal.undecided)


def test_the_tutorials_table_needs_no_identifier(tmp_path):
    files = _write(tmp_path, medical_data__csv="age,gender,disease,bmi,bp,los\n61,F,flu,22.1,120,3.5\n")
    proposal, landed = _take_in(tmp_path, files)
    assert landed.stays == 1
    assert tomllib.loads(proposal.toml)["features"] == {
        "numeric": ["age", "bmi", "bp"], "categorical": ["gender", "disease"],
    }  # fmt: skip
    assert any("los in days" in one for one in proposal.undecided)


def test_the_synthetic_hospitals_files_are_recognised(tmp_path):
    template = Path(__file__).parents[3] / "medlstm" / "settings" / "examples" / "demo.toml"
    config = parse_config(tomllib.loads(template.read_text()), {}, "demo")
    simulate_hospital(tmp_path / "landing", date(2026, 3, 9), 2, 1, timezone="UTC", admissions_per_day=8)
    files = sorted((tmp_path / "landing" / "2026-03-10").glob("*.csv*"))
    _, landed = _take_in(tmp_path / "proposed", files)
    assert landed.unreadable == ()
    taken = take_in(tmp_path, date(2026, 3, 10), config)
    assert (landed.stays, landed.observations) == (taken.stays, taken.observations)


@pytest.mark.parametrize(
    ("name", "frame", "found"),
    [
        ("a.parquet", pd.DataFrame({"subject_id": [1], "time": [pd.Timestamp(0)], "code": ["x"]}), "meds"),
        ("dyn.parquet", pd.DataFrame({"stay_id": [1], "time": [timedelta(hours=1)], "hr": [80.0]}), "wide_parquet"),
    ],
)
def test_formats_with_a_source_of_their_own_are_named(tmp_path, name, frame, found):
    frame.to_parquet(tmp_path / name)
    assert tomllib.loads(inspect_files([tmp_path / name]).toml)["source"]["format"] == found
    (tmp_path / "Patient.ndjson").write_text('{"resourceType": "Patient", "id": "1"}\n')
    assert 'format = "fhir"' in inspect_files([tmp_path / "Patient.ndjson"]).toml


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.jsonl", "x.parquet", "x.csv.gz", "x.xlsx"]))
def test_whatever_a_file_holds_the_proposal_is_toml_and_nothing_is_raised(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    tomllib.loads(inspect_files([path]).toml)


def test_the_command_prints_no_value_of_any_row(tmp_path):
    secrets = ["Mustermann", "19600328", "4711", "85,5"]
    files = _write(tmp_path, stays__csv="stay_id;admitted_at;name;age\n4711;2026-03-27 10:00;Mustermann;85,5\n",
                   odd__csv="foo;bar\nMustermann;19600328\n",
                   headless__csv="Mustermann;19600328;85,5\nx;y;z\n")  # fmt: skip
    result = CliRunner().invoke(app, ["inspect", *map(str, files)])
    assert result.exit_code == 0
    assert "[[source.files]]" in result.stdout
    assert "# not decided: odd.csv" in result.stdout
    assert "headless.csv: its first line looks like values" in result.stdout
    assert not [one for one in secrets if one in result.stdout]
