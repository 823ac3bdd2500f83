import json
import random
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.command_line.app import app
from tests.unit.onboarding.test_propose_mapping import SECRETS, planted

FIRST, LAST = datetime(2026, 3, 1), datetime(2026, 3, 20)


def _export(folder: Path) -> list[Path]:
    """30 encounters, 20 of them inpatient; a heart rate each four hours, three impossible saturations, two texts for a
    number, one row twice and four rows of a stay that no file knows."""
    rng = random.Random(2)
    encounters, vitals = ["enc_id,mrn,enc_type,admit_dttm,disch_dttm,ward"], ["enc_id,result_time,pulse,spo2"]
    for number in range(30):
        start = FIRST + timedelta(hours=13 * number)
        stop = start + timedelta(hours=96 if number % 3 else 2)
        kind = "IP" if number % 3 else "OP"
        encounters.append(f"V{number:03d},M{number},{kind},{start},{stop if stop < LAST else ''},{rng.choice('AB')}")
        at = start + timedelta(minutes=30)
        while number % 3 and at < min(stop, LAST - timedelta(days=3)):
            vitals.append(f"V{number:03d},{at},{rng.randint(60, 100)},{rng.randint(90, 99)}")
            at += timedelta(hours=4)
    vitals += [f"V001,{FIRST + timedelta(hours=14, minutes=n)},80,980" for n in range(3)]
    vitals += [f"V001,{FIRST + timedelta(hours=15, minutes=n)},++,97" for n in range(2)]
    vitals += [vitals[1]] + [f"V999,{FIRST + timedelta(hours=n)},80,97" for n in range(4)]
    paths = [folder / "encounters.csv", folder / "vitals.csv"]
    for path, lines in zip(paths, (encounters, vitals), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    before = tempfile.tempdir
    tempfile.tempdir = str(scratch)
    try:
        files = _export(tmp_path_factory.mktemp("export"))
        result = CliRunner().invoke(app, ["inspect", "--try", "--json", *map(str, files)], env={"COLUMNS": "120"})
        return result, files, list(scratch.iterdir())
    finally:
        tempfile.tempdir = before


def test_rows_in_are_admitted_quarantined_and_duplicates_as_counted_from_the_files(tried):
    result, files, _ = tried
    assert result.exit_code == 0, result.output
    trial = json.loads(result.stdout.splitlines()[-1])
    stays, observations = trial["reports"]
    cells = [cell for line in files[1].read_text().splitlines()[1:] for cell in line.split(",")[2:]]
    assert (stays["rows_in"], observations["rows_in"]) == (20, len(cells))
    for report in (stays, observations):
        assert report["rows_in"] == report["admitted"] + report["quarantined"] + report["exact_duplicates"]
    assert observations["exact_duplicates"] == 2
    rules = {one["rule"]: one["rows"] for one in observations["rules"] if one["rows"]}
    assert rules == {"not_a_number": 2, "oxygen_saturation_impossible": 3}


def test_shapes_of_problems_and_what_a_model_would_see_are_counted(tried):
    result, _, _ = tried
    trial = json.loads(result.stdout.splitlines()[-1])
    shapes = {(one["rule"], one["shape"]): one["rows"] for one in trial["problems"]}
    assert shapes[("not_a_number", "++")] == 2
    assert shapes[("oxygen_saturation_impossible", None)] == 3
    assert (trial["stays"], trial["admitted_in_no_stay"]) == (20, 8)
    assert trial["open_stays"] == sum(",," in line for line in _inpatients(tried[1][0]))
    seen = {one["name"]: one for one in trial["variables"]}
    assert set(seen) == {"heart_rate", "oxygen_saturation"}
    assert 0.2 < seen["heart_rate"]["median_bin_coverage"] < 0.3
    assert seen["heart_rate"]["stays_share"] > 0.5
    assert "A model would see 20 stays" in result.stdout


def test_what_the_settings_leave_out_is_told_beside_the_ledger(tried):
    result, files, _ = tried
    outpatients = sum(",OP," in line for line in files[0].read_text().splitlines())
    assert json.loads(result.stdout.splitlines()[-1])["ingest"]["left_out"] == {
        "encounters.csv: by keep and drop": outpatients
    }
    (line,) = [one for one in result.stdout.splitlines()[:-1] if "by keep and drop" in one]
    assert line.split()[-2] == str(outpatients)


def test_how_many_stays_have_each_feature_is_told(tried):
    result, _, _ = tried
    features = json.loads(result.stdout.splitlines()[-1])["features"]
    assert features == [{"name": "ward", "stays_share": 1.0, "different": 2}]
    assert "different values" in result.stdout


def test_a_feature_that_few_stays_have_shows_that_its_join_finds_nothing(tmp_path):
    files = _export(tmp_path)
    patients = "\n".join(["mrn,sex", *(f"M{number},f" for number in range(0, 30, 2))])
    files.append(tmp_path / "patients.csv")
    files[-1].write_text(patients + "\n")
    result = CliRunner().invoke(app, ["inspect", "--try", "--json", *map(str, files)])
    features = {one["name"]: one for one in json.loads(result.stdout.splitlines()[-1])["features"]}
    assert features["gender"] == {"name": "gender", "stays_share": 0.5, "different": 1}


def test_the_name_of_a_variable_is_one_word_of_a_terminal_of_80_columns(tmp_path):
    files = _export(tmp_path)
    files[1].write_text(files[1].read_text().replace("pulse", "crp"))
    result = CliRunner().invoke(app, ["inspect", "--try", *map(str, files)], env={"COLUMNS": "80"})
    assert any(line.startswith("c_reactive_protein ") for line in result.stdout.splitlines())


def _inpatients(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if ",IP," in line]


def test_the_night_is_that_of_the_newest_row_and_nothing_is_left_behind(tried):
    result, files, left = tried
    trial = json.loads(result.stdout.splitlines()[-1])
    newest = max(cell[:10] for line in _inpatients(files[0]) for cell in line.split(",")[3:5])
    assert trial["as_of"] == newest
    assert left == []
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["encounters.csv", "vitals.csv"]


def test_settings_that_were_edited_are_tried_in_place_of_the_proposal(tmp_path):
    files = _export(tmp_path)
    edited = tmp_path / "medlstm.toml"
    text = CliRunner().invoke(app, ["inspect", *map(str, files)]).stdout
    edited.write_text(text.replace('keep = { enc_type = ["IP"] }\n', ""))
    command = ["inspect", "--try", "--json", "--settings", str(edited), "--as-of", "2026-03-18", *map(str, files)]
    result = CliRunner().invoke(app, command)
    trial = json.loads(result.stdout.splitlines()[-1])
    assert (trial["as_of"], trial["reports"][0]["rows_in"]) == ("2026-03-18", 30)


def test_trying_prints_no_value_of_any_row(tmp_path):
    command = ["inspect", "--try", "--json", *map(str, planted(tmp_path))]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "Mustermann" not in str(result.exception)
    # The night is the date of the newest row, and says so.
    assert not [one for one in SECRETS if one in result.output and one != "2031-01-07"]
    assert "(a name that is not in the settings)" in result.output


def test_files_that_say_nothing_and_options_that_need_try_are_wrong_usage(tmp_path):
    (tmp_path / "odd.csv").write_text("foo;bar\nx;y\n")
    nothing = CliRunner().invoke(app, ["inspect", "--try", str(tmp_path / "odd.csv")])
    assert "nothing to try" in str(nothing.exception)
    alone = CliRunner().invoke(app, ["inspect", "--json", str(tmp_path / "odd.csv")])
    assert "belong to --try" in str(alone.exception)
    gone = CliRunner().invoke(app, ["inspect", str(tmp_path / "gone.csv")])
    assert "no such file or folder" in str(gone.exception)
