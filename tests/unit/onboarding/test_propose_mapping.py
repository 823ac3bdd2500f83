import gzip
import random
import shutil
import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.command_line.app import app
from medlstm.onboarding.propose_mapping import Proposal, inspect_files
from medlstm.settings.source import CsvFileMapping
from medlstm.settings.workspace import parse_config
from medlstm.synthetic.hospital import simulate_hospital
from tests.unit.night import raw, take_in

DAY = date(2026, 3, 28)
CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the checkout")


def _config(proposal: Proposal):
    return parse_config(tomllib.loads(proposal.toml), {}, "proposal")


def _block(proposal: Proposal, table: str) -> dict:
    return next(one for one in tomllib.loads(proposal.toml)["source"]["files"] if one["table"] == table)


def _take_in(tmp_path, files):
    proposal = inspect_files(files)
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copy(path, place / path.name)
    return proposal, take_in(tmp_path, DAY, _config(proposal))


def _write(folder: Path, **files: str) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(text)
        paths.append(path)
    return paths


def _stays(rows=40, hours=60.0, begin="admission_datetime", end="discharge_datetime") -> str:
    lines = [f"encounter_id,patient_id,{begin},{end}"]
    for row in range(rows):
        start = datetime(2026, 3, 1) + timedelta(hours=7 * row)
        stop = start + timedelta(hours=hours)
        lines.append(f"E{row:04d},P{row // 2:03d},{start},{stop if stop < datetime(2026, 3, 10) else ''}")
    return "\n".join(lines) + "\n"


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
    assert (stay["stay_id"], stay["patient_id"], stay["gender"], stay["age"]) == ("e1", "p1", "male", "65")
    (row,) = raw(tmp_path, "observations", DAY)
    assert (row["stay_id"], row["variable"], row["value"]) == ("e1", "heart_rate", "80")
    assert 'pattern = "encounters_*.csv"' in proposal.toml


def test_a_wide_european_file_is_taken_in_by_the_proposal(tmp_path):
    files = _write(tmp_path, kurve__csv="Fall;Zeit;Temp;Bemerkung\n7;27.03.2026 11:30;37,5;gut\n7;27.03.2026 12:30;;\n",
                   faelle__csv="Fall;Aufnahme;Entlassung\n7;27.03.2026 10:00;\n")  # fmt: skip
    proposal, landed = _take_in(tmp_path, files)
    (row,) = raw(tmp_path, "observations", DAY)
    assert (row["observed_at"], row["variable"], row["value"]) == ("2026-03-27T11:30:00", "temperature", "37.5")
    assert raw(tmp_path, "stays", DAY)[0]["admitted_at"] == "2026-03-27T10:00:00"
    assert landed.unreadable == ()
    assert _block(proposal, "stays")["columns"]["discharged_at"] == "Entlassung"
    assert any("Entlassung is empty in every row" in one for one in proposal.questions)
    assert any("Bemerkung" in one for one in proposal.questions)


def test_the_tutorials_table_needs_no_identifier(tmp_path):
    files = _write(tmp_path, medical_data__csv="age,gender,disease,bmi,bp,los\n61,F,flu,22.1,120,3.5\n")
    proposal, landed = _take_in(tmp_path, files)
    assert landed.stays == 1
    assert tomllib.loads(proposal.toml)["features"] == {
        "numeric": ["age", "bmi", "bp"], "categorical": ["gender", "disease"],
    }  # fmt: skip
    assert any("los in days" in one for one in proposal.questions)


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
    ("begin", "end"),
    [
        ("AdmissionDateTime", "DischargeDateTime"), ("aufnahmedatum", "entlassungsdatum"), ("col_a", "col_b"),
    ],
)  # fmt: skip
def test_names_of_admissions_and_discharges_are_known_and_unknown_ones_are_judged_by_the_data(tmp_path, begin, end):
    proposal = inspect_files(_write(tmp_path, enc__csv=_stays(begin=begin, end=end)))
    assert _block(proposal, "stays")["columns"] == {
        "stay_id": "encounter_id", "patient_id": "patient_id", "admitted_at": begin, "discharged_at": end,
    }  # fmt: skip
    judged = [one for one in proposal.questions if "because the one comes before the other" in one]
    assert len(judged) == (begin == "col_a")


@pytest.mark.parametrize("time", ["result_datetime", "SpecimenTakenTime"])
def test_names_of_times_of_results_are_known(tmp_path, time):
    labs = f"encounter_id,{time},test,value\n" + "".join(f"E{n:04d},2026-03-09 0{n}:00,HR,8{n}\n" for n in range(9))
    proposal = inspect_files(_write(tmp_path, enc__csv=_stays(), labs__csv=labs))
    block = _block(proposal, "observations")
    assert block["columns"] == {"stay_id": "encounter_id", "observed_at": time, "variable": "test", "value": "value"}
    assert _config(proposal)


def test_outpatient_encounters_are_left_out_by_their_class_and_results_find_the_inpatient_stay(tmp_path):
    lines = _stays().replace("discharge_datetime", "discharge_datetime,kind").splitlines()
    classed = [lines[0], *(f"{one},{('Inpatient', 'Emergency')[row % 2]}" for row, one in enumerate(lines[1:]))]
    labs = "patient_id,result_time,test,value\nP000,2026-03-01 01:00,HR,80\nP001,2026-03-02 01:00,HR,81\n"
    proposal = inspect_files(_write(tmp_path, enc__csv="\n".join(classed), labs__csv=labs))
    assert _block(proposal, "stays")["keep"] == {"kind": ["Inpatient"]}
    (join,) = _block(proposal, "observations")["joins"]
    assert join["keep"] == {"kind": ["Inpatient"]}
    assert join["between"] == {"time": "result_time", "start": "admission_datetime", "stop": "discharge_datetime"}
    assert "# reason: keep: 50.0% of the rows are inpatient by kind" in proposal.toml
    assert "outpatient encounters" not in proposal.questions[0]
    assert any("rows of no stay are left out, which --try counts" in one for one in proposal.questions)
    assert not any("goes on" in one for one in proposal.questions)


@pytest.mark.parametrize(("ended", "overlapping"), [("2026-03-04 10:00", 2), ("", 3), ("2026-03-02 10:00", 0)])
def test_stays_of_one_patient_that_overlap_are_counted_where_results_name_the_patient_alone(
    tmp_path, ended, overlapping
):
    stays = "visit,mrn,admission,discharge,kind\n" + "".join(
        f"v{n},{mrn},2026-03-{day:02d} 10:00,{end},{kind}\n"
        for n, (mrn, day, end, kind) in enumerate([
            ("p1", 1, ended, "Inpatient"), ("p1", 2, "2026-03-02 20:00", "Inpatient"),
            ("p1", 3, "2026-03-03 20:00", "Inpatient"), ("p1", 4, "2026-03-04 20:00", "Inpatient"),
            ("p2", 1, "2026-03-09 10:00", "Inpatient"), ("p2", 2, "2026-03-02 12:00", "Outpatient"),
        ]))  # fmt: skip
    labs = "mrn,result_time,test,value\np1,2026-03-01 11:00,HR,80\np2,2026-03-02 11:00,HR,81\n"
    proposal = inspect_files(_write(tmp_path, stays__csv=stays, labs__csv=labs))
    told = [one for one in proposal.questions if "begin while another one of their patient goes on" in one]
    assert [one.split(": ")[1].split()[0] for one in told] == ([str(overlapping)] if overlapping else [])


def test_a_proposal_that_may_admit_outpatients_says_so_first(tmp_path):
    short = inspect_files(_write(tmp_path, enc__csv=_stays(hours=0.5).replace("E0001,P000,", "E0001,,")))
    assert "outpatient encounters admitted as stays" in short.questions[0]
    lines = _stays().replace("discharge_datetime", "discharge_datetime,encounter_class").splitlines()
    by_class = "\n".join([lines[0], *(f"{one},ambulatory" for one in lines[1:])])
    assert "outpatient encounters" in inspect_files(_write(tmp_path, enc__csv=by_class)).questions[0]


def test_a_proposal_that_leaves_results_out_says_so_first(tmp_path):
    stays = "\n".join(line.rsplit(",", 1)[0] for line in _stays().splitlines())
    labs = "patient_id,result_time,test,value\nP000,2026-03-01 01:00,HR,80\n"
    proposal = inspect_files(_write(tmp_path, enc__csv=stays, labs__csv=labs, broken__parquet="no parquet"))
    assert [one.split(" is left out")[0] for one in proposal.questions[:2]] == ["broken.parquet", "labs.csv"]
    assert len(tomllib.loads(proposal.toml)["source"]["files"]) == 1


def test_wide_vital_signs_meet_the_reference_by_synonyms_and_units_by_name_and_data(tmp_path):
    rows = "".join(
        f"E{n % 9:04d},2026-03-02 0{n % 9}:15,8{n % 10},9{n % 8},9{n % 3 + 7}.6,15,{70 + n % 3},x{n},{n}\n"
        for n in range(60)
    )
    header = "encounter_id,period,pulse,SpO2,temp,gcs_score,weight_kg,remark,row_id\n"
    proposal = inspect_files(_write(tmp_path, enc__csv=_stays(), vitals__csv=header + rows))
    block = _block(proposal, "observations")
    assert block["columns"]["observed_at"] == "period"
    assert block["variables"] == ["pulse", "SpO2", "temp", "gcs_score", "weight_kg"]
    assert block["spellings"]["variable"] == {
        "pulse": "heart_rate", "SpO2": "oxygen_saturation", "temp": "temperature", "gcs_score": "gcs_total",
        "weight_kg": "weight",
    }  # fmt: skip
    assert block["units"] == {"temperature": "[degF]"}
    assert any("temperature: its median is usual in [degF]" in one for one in proposal.questions)
    assert any("row_id" in one and "remark" in one for one in proposal.questions)


def test_two_columns_of_one_variable_do_not_overwrite_each_other(tmp_path):
    rows = "".join(f"E0001,2026-03-02 0{n}:15,12{n},11{n}\n" for n in range(9))
    files = _write(tmp_path, enc__csv=_stays(), vitals__csv="encounter_id,charttime,nibp_sys,abp_sys\n" + rows)
    proposal = inspect_files(files)
    assert _block(proposal, "observations")["spellings"] == {"variable": {"nibp_sys": "systolic_bp"}}
    assert any("abp_sys and nibp_sys both seem to be systolic_bp" in one for one in proposal.questions)


def test_codes_get_their_names_from_the_file_that_has_them_and_stays_are_found_by_their_keys(tmp_path):
    labs = "row,case_ref,charttime,itemid,valuenum,valueuom\n" + "".join(
        f"{n},E{n % 40:04d},2026-03-09 07:{n:02d},{50912 + n % 2},1.{n % 10},mg/dL\n" for n in range(60)
    )
    items = "itemid,label,fluid\n50912,Creatinine,Blood\n50913,Bilirubin,Blood\n50914,Other,Blood\n"
    proposal = inspect_files(_write(tmp_path, enc__csv=_stays(), labs__csv=labs, d_items__csv=items))
    block = _block(proposal, "observations")
    assert block["columns"]["stay_id"] == "case_ref"
    assert block["columns"]["variable"] == "d_items.label"
    assert block["joins"][0]["on"] == {"itemid": "itemid"}
    assert block["spellings"]["variable"] == {"Creatinine": "creatinine", "Bilirubin": "bilirubin"}
    assert _config(proposal)


@pytest.mark.parametrize("key", ["transfer_id", "sequence"])
def test_rows_of_wards_within_a_stay_are_not_the_stays(tmp_path, key):
    moves = f"{key},encounter_id,intime,outtime\n" + "".join(
        f"{f'T{n}' if key == 'transfer_id' else n % 2},E{n // 2:04d},2026-03-0{n % 9 + 1} 00:00,"
        f"2026-03-0{n % 9 + 1} 20:00\n" for n in range(80)
    )  # fmt: skip
    proposal = inspect_files(_write(tmp_path, enc__csv=_stays(), transfers__csv=moves))
    assert [one["pattern"] for one in tomllib.loads(proposal.toml)["source"]["files"]] == ["enc.csv"]
    assert any(one.startswith("transfers.csv is left out") for one in proposal.questions)


def test_features_are_what_is_known_on_arrival_and_the_group_is_one_of_them(tmp_path):
    lines = _stays().splitlines()
    ended = [not one.endswith(",") for one in lines]
    wider = [f"{one},{'A1' if row % 2 else 'B2'},{70 + row % 9},{'I21' if ended[row] else ''},{row % 5}"
             for row, one in enumerate(lines)]  # fmt: skip
    wider[0] = f"{lines[0]},CareUnit,Weight,diagnosis,drg_weight"
    proposal = inspect_files(_write(tmp_path, enc__csv="\n".join(wider)))
    content = tomllib.loads(proposal.toml)
    assert content["features"] == {"numeric": ["weight"], "categorical": ["ward"]}
    assert content["scoring"] == {"group_column": "ward"}
    assert _block(proposal, "stays")["columns"]["weight"] == "Weight"
    assert any("diagnosis, drg_weight" in one for one in proposal.questions)


def test_of_dates_that_can_be_read_in_two_ways_the_one_of_other_columns_is_proposed(tmp_path):
    rows = [f"s{n},p{n},0{n + 1}/03/2026 10:00,{n + 13}/03/2026 11:00" for n in range(9)]
    stays = "\n".join(["visit,mrn,admission,discharge", *rows])
    proposal = inspect_files(_write(tmp_path, enc__csv=stays))
    assert _block(proposal, "stays")["time_formats"] == ["%d/%m/%Y %H:%M"]
    assert any("admission may be %m/%d/%Y %H:%M or %d/%m/%Y %H:%M" in one for one in proposal.questions)


@pytest.mark.parametrize(
    ("numbers", "decimal_comma", "doubt"),
    [
        (("1,5", "2,25", "1.250,5"), True, None),
        (("1,250", "2,500", "3,125"), None, "three digits behind every comma"),
        (("1,250.5", "2,500.25", "3.5"), None, "commas between thousands"),
        (("1.250", "2.500", "900"), None, "three digits behind every point"),
        (("0.250", "2.500", "1.125"), None, None),
        (("37.5", "38.25", "36"), None, None),
    ],
)
def test_thousands_are_a_stated_doubt(tmp_path, numbers, decimal_comma, doubt):
    rows = "".join(f"E000{n}|2026-03-02 0{n}:15|{numbers[n % 3]}\n" for n in range(9))
    files = _write(tmp_path, enc__csv=_stays(), lab__csv="encounter_id|charttime|marker\n" + rows)
    proposal = inspect_files(files)
    assert _block(proposal, "observations").get("decimal_comma") == decimal_comma
    assert bool(doubt) == any(doubt in one if doubt else "digits behind" in one for one in proposal.questions)


@pytest.mark.parametrize(
    ("name", "encoding", "said"),
    [("a.txt", "utf-16-le", "utf-16-le"), ("a.csv", "cp1252", "cp1252"), ("a.TSV", "latin-1", "latin-1"),
     ("a.csv", "utf-8-sig", None)],
)  # fmt: skip
def test_encodings_are_named_and_the_proposal_reads_them(tmp_path, name, encoding, said):
    ward = "Kardiologie – Süd" if encoding not in ("latin-1",) else "Süd"
    text = f"visit\tmrn\tadmission\tdischarge\tward\ns1\tp1\t2026-03-27 10:00\t\t{ward}\n"
    (tmp_path / name).write_bytes(text.encode(encoding))
    proposal = inspect_files([tmp_path / name])
    assert _block(proposal, "stays").get("encoding") == said
    if not name.endswith("TSV"):
        _, landed = _take_in(tmp_path, [tmp_path / name])
        assert (landed.stays, landed.unreadable) == (1, ())
        assert raw(tmp_path, "stays", DAY)[0]["ward"] == ward


def test_a_file_of_ascii_is_read_as_the_others_are_written_so_that_a_later_umlaut_is(tmp_path):
    stays, labs = tmp_path / "faelle.csv", tmp_path / "labor.csv"
    stays.write_bytes("Fall;Patient;Aufnahme;Entlassung;Station\n7;1;27.03.2026 10:00;;Süd\n".encode("latin-1"))
    head = "Fall;Zeit;Analyt;Ergebnis\n7;27.03.2026 11:30;Natrium;138\n"
    labs.write_text(head)
    proposal = inspect_files([stays, labs])
    assert "# reason: encoding: what was looked at is ASCII, and other files are written in LATIN-1" in proposal.toml
    landing = tmp_path / "landing" / DAY.isoformat()
    landing.mkdir(parents=True)
    shutil.copy(stays, landing)
    (landing / "labor.csv").write_bytes((head + "7;27.03.2026 12:30;Hämoglobin;12\n").encode("latin-1"))
    assert take_in(tmp_path, DAY, _config(proposal)).unreadable == ()
    assert [row["variable"] for row in raw(tmp_path, "observations", DAY)] == ["sodium", "Hämoglobin"]


@pytest.mark.parametrize(("letters", "said"), [("utf-8", None), ("utf-16-le", None), ("cp1252", "cp1252")])
def test_a_file_of_ascii_follows_no_other_that_may_be_read_in_several_ways(tmp_path, letters, said):
    text = "visit,mrn,admission,discharge,ward\ns1,p1,2026-03-27 10:00,,Süd – 2\n"
    (tmp_path / "stays.csv").write_bytes(text.encode(letters))
    (tmp_path / "vitals.csv").write_text("visit,charttime,pulse\ns1,2026-03-27 11:00,80\n")
    proposal = inspect_files([tmp_path / "stays.csv", tmp_path / "vitals.csv"])
    assert _block(proposal, "observations").get("encoding") == said


def test_a_result_below_the_limit_of_detection_counts_as_the_settings_say(tmp_path):
    labs = "Fall;Zeit;Analyt;Ergebnis\n7;27.03.2026 11:30;CRP;<5\n7;27.03.2026 12:30;CRP;7,5\n"
    files = _write(tmp_path, labor__csv=labs, faelle__csv="Fall;Aufnahme;Entlassung\n7;27.03.2026 10:00;\n")
    proposal = inspect_files(files)
    (asked,) = [one for one in proposal.questions if "a sign such as <" in one]
    assert 'value = { "<10" = "5" }' in asked
    answered = proposal.toml.replace("spellings = { ", 'spellings = { value = { "<5" = "2,5" }, ')
    _take_in(tmp_path, files)
    take_in(tmp_path, DAY, parse_config(tomllib.loads(answered), {}, "answered"))
    assert [row["value"] for row in raw(tmp_path, "observations", DAY)] == ["2.5", "7.5"]


def test_values_within_objects_are_found_by_their_last_names(tmp_path):
    stays = [f'{{"encounter": {{"id": "E{n}", "period": {{"start": "2026-03-0{n + 1}T10:00:00Z"}}}}, "location": '
             f'{{"ward": "AB"}}, "subject": {{"reference": "P{n}"}}}}' for n in range(5)]  # fmt: skip
    results = [f'{{"encounterId": "E{n}", "effectiveDateTime": "2026-03-0{n + 2}T10:00:00Z", "code": "2345-7", '
               f'"valueQuantity": {{"value": 5.{n}, "unit": "mmol/L"}}}}' for n in range(5)]  # fmt: skip
    files = _write(tmp_path, stays__jsonl="\n".join(stays), obs__jsonl="\n".join(results))
    proposal = inspect_files(files)
    assert _block(proposal, "stays")["columns"] == {
        "stay_id": "encounter.id", "patient_id": "subject.reference", "admitted_at": "encounter.period.start",
        "ward": "location.ward",
    }  # fmt: skip
    block = _block(proposal, "observations")
    assert (block["columns"]["value"], block["unit_column"]) == ("valueQuantity.value", "valueQuantity.unit")
    assert block["spellings"] == {"variable": {"2345-7": "glucose"}}


def test_a_stay_may_be_in_the_files_of_several_days(tmp_path):
    icu = "icu_stay_id,encounter_id,intime,outtime\n" + "".join(
        f"{n},E{n // 2:04d},2026-03-0{n % 9 + 1} 00:00,2026-03-0{n % 9 + 1} 20:00\n" for n in range(40)
    )
    files = _write(tmp_path, enc_20260327__csv=_stays(), enc_20260328__csv=_stays(hours=61), icu__csv=icu)
    proposal = inspect_files(files)
    (block,) = tomllib.loads(proposal.toml)["source"]["files"]
    assert (block["pattern"], block["columns"]["stay_id"]) == ("enc_*.csv", "encounter_id")
    assert not any("repeats" in one for one in proposal.questions)


@pytest.mark.parametrize(
    ("name", "unit"), [("offset_min", "minutes"), ("hours_since_admission", "hours"), ("observationoffset", "minutes")]
)
def test_times_that_count_from_the_admission_are_known_by_their_names(tmp_path, name, unit):
    rows = "".join(f"E{n % 40:04d},{n * 5},hr,8{n % 10}\n" for n in range(80))
    files = _write(tmp_path, enc__csv=_stays(), meas__csv=f"encounter_id,{name},parameter,reading\n{rows}")
    proposal = inspect_files(files)
    block = _block(proposal, "observations")
    assert (block["columns"]["observed_at"], block["time_unit"]) == (name, unit)
    assert any(f"does {name} count {unit} from the admission" in one for one in proposal.questions)


def test_two_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder, text in (("a", _stays()), ("b", "encounter_id,charttime,test,value\nE0001,2026-03-02 01:00,HR,80\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text(text)
    proposal = inspect_files([tmp_path / "a" / "data.csv", tmp_path / "b" / "data.csv"])
    assert [one["pattern"] for one in tomllib.loads(proposal.toml)["source"]["files"]] == ["a/data.csv", "b/data.csv"]


@needs_cases
def test_the_case_of_a_discharge_with_nulls():
    for name in ("nulls.csv", "STAYS.CSV"):
        proposal = inspect_files([CASES / "37-inspect" / name])
        assert _block(proposal, "stays")["columns"]["discharged_at"] == "discharge"
        assert "# reason: discharge: NULL stands for missing" in proposal.toml
        assert _config(proposal)


@needs_cases
def test_the_cases_of_thousands_and_of_utf_16():
    thousands = inspect_files([CASES / "37-inspect" / "thousands.csv"])
    assert _block(thousands, "observations")["decimal_comma"] is True
    assert any("platelets has three digits behind every point" in one for one in thousands.questions)
    utf_16 = inspect_files([CASES / "37-inspect" / "stays.txt"])
    assert _block(utf_16, "stays")["encoding"] == "utf-16"
    assert "written in UTF-16" in utf_16.toml


@needs_cases
def test_the_case_of_quotes_in_a_tab_file():
    landing = CASES / "05d-tab-quotes" / "landing" / "2026-03-28"
    proposal = inspect_files(sorted(landing.iterdir()))
    assert any('quoting = "none"' in one for one in proposal.questions)
    if "quoting" in CsvFileMapping.model_fields:
        assert _block(proposal, "stays")["quoting"] == "none"
    assert _config(proposal)


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


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.jsonl", "x.parquet", "x.csv.gz", "x.xlsx"]))
def test_whatever_a_file_holds_the_proposal_is_toml_and_nothing_is_raised(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    tomllib.loads(inspect_files([path]).toml)


_HEADERS = ("visit", "mrn", "admission", "discharge", "unit", "test", "value", "charttime", "hr", "sex", "dob", "class",
            "status", "los", "x\ty", 'q"uote', "Ä ö", "type", "label", "code")  # fmt: skip
_CELLS = ("1", "2.5", "1,5", "NULL", "2026-03-01", "01/02/2026 10:00", "inpatient", "M", "mg/dL", "HR", "", "text",
          "<5")  # fmt: skip


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_columns_there_are_the_settings_accept_the_proposal(tmp_path, data):
    files = []
    for name in ("one.csv", "two.csv"):
        header = data.draw(st.lists(st.sampled_from(_HEADERS), min_size=1, max_size=7, unique=True))
        row = st.lists(st.sampled_from(_CELLS), min_size=len(header), max_size=len(header))
        rows = data.draw(st.lists(row, max_size=6))
        files.append(tmp_path / name)
        pd.DataFrame(rows, columns=header).to_csv(files[-1], index=False)
    proposal = inspect_files(files)
    if "files" in tomllib.loads(proposal.toml)["source"]:
        assert _config(proposal)


SECRETS = ("Mustermann", "19600328", "4711", "85,5", "K-77-Geheim", "Hepatitis", "2031-01-07", "613.25")


def planted(folder: Path) -> list[Path]:
    """An export each of whose texts could be somebody's."""
    rng = random.Random(4)
    stays = "stay_id;mrn;admitted_at;discharged_at;name;age;diagnosis;status\n" + "".join(
        f"4711{n};K-77-Geheim{n};2031-01-07 1{n % 10}:00;;Mustermann;85,5;Hepatitis;Hepatitis\n" for n in range(20)
    )
    labs = "stay_id,charttime,test,value,unit\n" + "".join(
        f"4711{n % 20},2031-01-07 1{n % 10}:30,{rng.choice(['HR', 'Hepatitis'])},"
        f"{rng.choice(['613.25', 'Mustermann'])},Hepatitis\n"
        for n in range(60)
    )
    return _write(folder, stays__csv=stays, labs__csv=labs, odd__csv="foo;bar\nMustermann;19600328\n",
                  headless__csv="Mustermann;19600328;85,5\nx;y;z\n")  # fmt: skip


def test_the_command_prints_no_value_of_any_row(tmp_path):
    result = CliRunner().invoke(app, ["inspect", *map(str, planted(tmp_path))])
    assert result.exit_code == 0
    assert "[[source.files]]" in result.stdout
    assert "odd.csv is left out" in result.stdout
    assert "headless.csv is left out: its first line looks like values" in result.stdout
    assert not [one for one in SECRETS if one in result.stdout]
