import gzip
import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlstm.errors import ConfigError
from medlstm.settings.source import CsvFileMapping, JoinSection
from medlstm.settings.workspace import parse_config
from medlstm.sources.joins import make_lookup, with_joined
from medlstm.sources.mapping import Received
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)
ENCOUNTERS = {
    "pattern": "encounters*", "table": "stays",
    "columns": {"stay_id": "Id", "patient_id": "PATIENT", "admitted_at": "START", "discharged_at": "STOP",
                "gender": "patients.GENDER", "birth_date": "patients.BIRTHDATE"},
    "spellings": {"gender": {"M": "male", "F": "female"}},
    "constants": {"ward": "ICU"},
    "keep": {"CLASS": ["inpatient", "IMP"]},
    "joins": [{"name": "patients", "pattern": "patients*", "on": {"PATIENT": "Id"}}],
}  # fmt: skip
LABS = {
    "pattern": "labs*", "table": "observations", "unit_column": "UNITS",
    "columns": {"stay_id": "ENCOUNTER", "observed_at": "DATE", "variable": "CODE", "value": "VALUE"},
    "spellings": {"variable": {"GLU": "glucose", "TMP": "temperature"}},
    "retracted_when": {"STATUS": ["entered-in-error"]},
}  # fmt: skip


def _config(*files, **sections):
    base = {
        "source": {"format": "csv", "files": list(files)},
        "features": {"numeric": ["age"], "categorical": ["gender", "ward"]},
        "contracts": {"max_quarantined_share": 1.0},
    }
    return parse_config(base | sections, {}, "test")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    (place / "patients.csv").write_text("Id,GENDER,BIRTHDATE\np1,M,1960-03-28\np2,F,1990-04-01\np1,M,1960-03-27\n")
    (place / "encounters.csv").write_text(
        "Id,PATIENT,START,STOP,CLASS\n"
        "e1,p1,2026-03-27T10:00:00Z,,inpatient\n"
        "e2,p2,2026-03-26T10:00:00Z,2026-03-27T10:00:00Z, IMP \n"
        "e3,p2,2026-03-26T10:00:00Z,,ambulatory\n"
        "e4,p9,2026-03-27T11:00:00Z,,inpatient\n"
    )
    return place


def test_tables_join_on_keys_and_only_inpatients_are_kept(folder, tmp_path):
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS))
    rows = {row["stay_id"]: row for row in raw(tmp_path, "stays", DAY)}
    assert set(rows) == {"e1", "e2", "e4"}
    assert (rows["e1"]["gender"], rows["e1"]["age"], rows["e1"]["ward"]) == ("male", "66", "ICU")
    # Of two rows of a patient the last one counts, a birthday on the day of admission too; that of the second
    # patient is five days after the admission.
    assert (rows["e2"]["gender"], rows["e2"]["age"]) == ("female", "35")
    assert (rows["e4"]["gender"], rows["e4"]["age"]) == (None, None)
    assert [rows[key]["source_row"] for key in ("e1", "e2", "e4")] == [1, 2, 4]
    assert landed.files_read == 2
    assert landed.warnings == ("2026-03-28: encounters.csv: 1 rows have no row in patients* (join patients)",)
    assert landed.left_out == {"encounters*: by keep and drop": 1}


def test_units_are_converted_as_the_reviewed_table_says_and_marked_rows_are_taken_back(folder, tmp_path):
    (folder / "labs.csv").write_text(
        "ENCOUNTER,DATE,CODE,VALUE,UNITS,STATUS\n"
        "e1,2026-03-27T11:00:00Z,GLU,5.5,mmol/l,final\n"
        "e1,2026-03-27T12:00:00Z,GLU,99,MG/DL,final\n"
        "e1,2026-03-27T13:00:00Z,GLU,101,,final\n"
        "e1,2026-03-27T14:00:00Z,GLU,7,furlong,final\n"
        "e1,2026-03-27T15:00:00Z,TMP,98.6,degF,final\n"
        "e1,2026-03-27T16:00:00Z,TMP,37,°C,entered-in-error\n"
        "e1,2026-03-27T17:00:00Z,OTHER,3,whatever,final\n"
    )
    take_in_and_validate(tmp_path, DAY, _config(ENCOUNTERS, LABS))
    rows = admitted(tmp_path, "observations", DAY)
    values = {(row["variable"], row["observed_at"].hour): row["value"] for row in rows}
    assert values["glucose", 11] == pytest.approx(99.0858)
    assert (values["glucose", 12], values["glucose", 13]) == (99.0, 101.0)
    assert values["temperature", 15] == pytest.approx(37.0)
    assert values["OTHER", 17] == 3.0
    (refused,) = quarantined(tmp_path, "observations", DAY)
    assert (refused["rule"], refused["source_row"]) == ("not_a_number", 4)
    assert [row["retracted"] for row in raw(tmp_path, "observations", DAY)].count("true") == 1


def test_a_wide_file_of_a_european_ward(folder, tmp_path):
    text = "Fall;Zeit;Temp;Größe\ne1;27.03.2026 11:30;98,6;1.234,5\ne1;27.03.2026 12:30;x;\n"
    (folder / "kurve.csv").write_bytes(text.encode("latin-1"))
    wide = {
        "pattern": "kurve*", "table": "observations", "layout": "wide", "variables": ["Temp", "Größe"],
        "columns": {"stay_id": "Fall", "observed_at": "Zeit"}, "delimiter": ";", "encoding": "latin-1",
        "decimal_comma": True, "time_formats": ["%d.%m.%Y %H:%M"], "timezone": "Europe/Berlin",
        "spellings": {"variable": {"Temp": "temperature"}}, "units": {"temperature": "°F"},
    }  # fmt: skip
    take_in_and_validate(tmp_path, DAY, _config(ENCOUNTERS, wide))
    rows = {row["variable"]: row for row in admitted(tmp_path, "observations", DAY)}
    assert rows["temperature"]["value"] == pytest.approx(37.0)
    assert rows["temperature"]["observed_at"].isoformat() == "2026-03-27T10:30:00+00:00"
    assert rows["Größe"]["value"] == 1234.5
    assert [row["rule"] for row in quarantined(tmp_path, "observations", DAY)] == ["not_a_number"]


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_a_text_that_is_no_number_counts_as_the_settings_spell_it(folder, tmp_path, layout):
    name = "variable" if layout == "long" else "crp"
    (folder / "labs.csv").write_text(f"ENCOUNTER;DATE;{name};VALUE\n" + "".join(
        f"e1;2026-03-27T1{hour}:00:00Z;{'crp' if layout == 'long' else text};{text}\n"
        for hour, text in enumerate(("<5", " <5 ", "7,5"), start=1)))  # fmt: skip
    columns = {"stay_id": "ENCOUNTER", "observed_at": "DATE"}
    columns |= {"variable": "variable", "value": "VALUE"} if layout == "long" else {}
    labs = {"pattern": "labs*", "table": "observations", "layout": layout, "columns": columns, "delimiter": ";",
            "decimal_comma": True, "spellings": {"value": {"<5": "2,5"}}}  # fmt: skip
    labs |= {"variables": ["crp"]} if layout == "wide" else {}
    take_in_and_validate(tmp_path, DAY, _config(ENCOUNTERS, labs))
    assert [row["value"] for row in admitted(tmp_path, "observations", DAY)] == [2.5, 2.5, 7.5]


def test_labs_that_name_only_the_patient_find_the_stay_by_its_time(folder, tmp_path):
    (folder / "labs.csv").write_text(
        "PATIENT,DATE,CODE,VALUE\n"
        "p2,2026-03-26T12:00:00Z,GLU,90\n"
        "p2,2026-03-27T12:00:00Z,GLU,91\n"
        "p1,2026-03-27T12:00:00Z,GLU,92\n"
        "p1,2026-03-27T09:00:00Z,GLU,93\n"
        ",2026-03-27T12:00:00Z,GLU,94\n"
        "p7,2026-03-27T12:00:00Z,GLU,95\n"
        "p1,soon,GLU,96\n"
    )
    between = {"time": "DATE", "start": "START", "stop": "STOP"}
    join = {"name": "stay", "pattern": "encounters*", "on": {"PATIENT": "PATIENT"}, "between": between,
            "keep": {"CLASS": ["inpatient", "IMP"]}}  # fmt: skip
    labs = {
        "pattern": "labs*", "table": "observations", "joins": [join],
        "columns": {"stay_id": "stay.Id", "observed_at": "DATE", "variable": "CODE", "value": "VALUE"},
    }  # fmt: skip
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS, labs))
    found = {row["value"]: row["stay_id"] for row in raw(tmp_path, "observations", DAY)}
    # At 91 the inpatient stay e2 had ended, and e3 is not one; 93 came before e1: of no stay that is kept, by choice.
    # Of an unknown patient, of nobody, or at no time is another matter.
    assert found == {"90": "e2", "92": "e1", "94": None, "95": None, "96": None}
    assert landed.left_out == {"encounters*: by keep and drop": 1, "labs*: of no stay that the join stay keeps": 2}
    assert "2026-03-28: labs.csv: 3 rows have no row in encounters* (join stay)" in landed.warnings
    assert landed.files_read == 3


def test_encounters_that_a_join_on_keys_does_not_keep_are_left_out_by_choice(folder, tmp_path):
    (folder / "labs.csv").write_text("E,DATE,CODE,VALUE\ne1,2026-03-27T12:00:00Z,GLU,90\n"
                                     "e3,2026-03-27T12:00:00Z,GLU,91\ne8,2026-03-27T12:00:00Z,GLU,92\n")  # fmt: skip
    join = {"name": "stay", "pattern": "encounters*", "on": {"E": "Id"}, "keep": {"CLASS": ["inpatient"]}}
    labs = {
        "pattern": "labs*", "table": "observations", "joins": [join],
        "columns": {"stay_id": "stay.Id", "observed_at": "DATE", "variable": "CODE", "value": "VALUE"},
    }  # fmt: skip
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS, labs))
    assert {row["value"]: row["stay_id"] for row in raw(tmp_path, "observations", DAY)} == {"90": "e1", "92": None}
    assert landed.left_out["labs*: of no stay that the join stay keeps"] == 1


def test_where_the_configuration_leaves_out_everything_a_warning_says_so(folder, tmp_path):
    labs = LABS | {"keep": {"STATUS": ["preliminary"]}}
    (folder / "labs.csv").write_text("ENCOUNTER,DATE,CODE,VALUE,UNITS,STATUS\ne1,2026-03-27T11:00:00Z,GLU,5,,final\n")
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS, labs))
    assert "observations: all 1 rows were left out (labs*: by keep and drop)" in landed.warnings[-1]


def test_json_lines_read_as_delimited_files_do_and_a_broken_line_is_quarantined(folder, tmp_path):
    rows = [
        {"ENCOUNTER": "e1", "DATE": "2026-03-27T11:00:00Z", "CODE": {"id": "HR"}, "VALUE": 80.50},
        {"ENCOUNTER": "e1", "DATE": "2026-03-27T12:00:00Z", "CODE": {"id": "HR"}, "VALUE": None},
    ]
    lines = [json.dumps(rows[0]), "{not json", "", "[1]", json.dumps(rows[1]), '{"VALUE": 1} tail']
    with gzip.open(folder / "labs.jsonl.gz", "wt") as stream:
        stream.write("\n".join(lines) + "\n")
    mapping = {
        "pattern": "labs*", "table": "observations",
        "columns": {"stay_id": "ENCOUNTER", "observed_at": "DATE", "variable": "CODE.id", "value": "VALUE"},
    }  # fmt: skip
    take_in_and_validate(tmp_path, DAY, _config(ENCOUNTERS, mapping))
    received = [(row["source_row"], row["value"]) for row in raw(tmp_path, "observations", DAY)]
    assert received == [(1, "80.5"), (5, None), (2, None), (4, None), (6, None)]
    assert [row["value"] for row in admitted(tmp_path, "observations", DAY)] == [80.5]
    rules = {row["source_row"]: row["rule"] for row in quarantined(tmp_path, "observations", DAY)}
    assert (rules[2], rules[4], rules[6]) == ("ragged_line", "ragged_line", "ragged_line")


def test_zstandard_reads_as_plain_files_do_and_a_cut_file_is_named(folder, tmp_path):
    text = "ENCOUNTER,DATE,CODE,VALUE,UNITS,STATUS\ne1,2026-03-27T11:00:00Z,GLU,90,mg/dL,final\n"
    with pa.output_stream(str(folder / "labs.csv.zst"), compression="zstd") as stream:
        stream.write(text.encode())
    with pa.output_stream(str(folder / "labs2.jsonl.zst"), compression="zstd") as stream:
        stream.write(b"".join(b'{"n": "%d"}\n' % (number**9) for number in range(20000)))
    cut = folder / "labs2.jsonl.zst"
    cut.write_bytes(cut.read_bytes()[:-50])
    landed = take_in(tmp_path, DAY, _config(LABS))
    assert [row["value"] for row in raw(tmp_path, "observations", DAY)] == ["90"]
    assert [file.source_file for file in landed.unreadable] == ["labs2.jsonl.zst"]


def test_a_join_whose_file_is_missing_or_does_not_fit_says_so_and_the_stays_go_through(folder, tmp_path):
    (folder / "patients.csv").write_text("Id,SEX\np1,M\n")
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS))
    assert landed.stays == 3
    (unfit,) = landed.unreadable
    assert unfit.source_file == "patients.csv"
    assert "the column BIRTHDATE (of the join patients) is missing" in unfit.reason
    (folder / "patients.csv").unlink()
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS))
    assert any("no file matches patients*" in warning for warning in landed.warnings)


@pytest.mark.parametrize(
    ("file", "row"),
    [
        ("encounters.csv", "e777,p888,2026-03-27T10:00:00Z,,Muster,IMP"),
        ("labs.csv", "e777,2026-03-27T11:00:00Z,Muster,90,mg/dL,final"),
        ("patients.csv", "p888,1944-05-06,Muster,F"),
    ],
)
def test_a_file_without_a_header_is_refused_and_no_name_of_its_first_line_is_repeated(folder, tmp_path, file, row):
    (folder / file).write_text(f"{row}\n{row}\n")
    landed = take_in(tmp_path, DAY, _config(ENCOUNTERS, LABS))
    said = " ".join([*(f"{one.source_file} {one.reason}" for one in landed.unreadable), *landed.warnings])
    assert f"is missing among the {row.count(',') + 1} of the file" in said
    assert not [text for text in row.split(",") if text and text in said]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": {"glucose": "furlong"}}, "no conversion of glucose from furlong to mg/dL; known are .*mmol/L"),
        ({"units": {"zucker": "mmol/L"}}, "zucker is no variable"),
        ({"timezone": "Mars/Base"}, "IANA time zone"),
        ({"encoding": "klingon"}, "text encoding"),
        ({"colums": {}}, r"known keys here: .*columns"),
        ({"joins": [{"name": "a b", "pattern": "*", "on": {"x": "y"}}]}, "name = 'a b'"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_in_words(change, message):
    with pytest.raises(ConfigError, match=message):
        _config(LABS | change)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 8)), max_size=8),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), min_size=1, max_size=8),
)
def test_an_interval_join_finds_the_latest_begun_of_those_that_hold_the_time(intervals, rows):
    def at(minute):
        return f"2026-03-27T10:{minute:02d}:00Z"

    join = JoinSection(name="j", pattern="*", on={"k": "k"}, between={"time": "t", "start": "s", "stop": "e"})
    mapping = CsvFileMapping(pattern="*", table="observations", columns={"stay_id": "j.id"}, joins=[join])
    table = pa.table({
        "k": pa.array([key for key, _, _ in intervals], pa.string()),
        "s": pa.array([at(start) for _, start, _ in intervals], pa.string()),
        "e": pa.array([at(start + length) for _, start, length in intervals], pa.string()),
        "id": pa.array([str(number) for number in range(len(intervals))], pa.string()),
    })  # fmt: skip
    lookup = make_lookup(join, {"k", "s", "e", "id"}, [table], mapping, "UTC")
    columns = pa.table({"k": [key for key, _ in rows], "t": [at(minute) for _, minute in rows]})
    received = Received(["k", "t"], columns, np.arange(len(rows)), [])
    joined = with_joined(received, lookup, mapping, "UTC")
    ids = joined.rows.columns.column("j.id").to_pylist()
    assert (~joined.found).sum() == ids.count(None)
    assert not joined.not_kept.any()
    for (key, minute), found in zip(rows, ids, strict=True):
        holding = [start for other, start, length in intervals if other == key and start <= minute <= start + length]
        assert (found is None) == (not holding)
        if found is not None:
            other, start, length = intervals[int(found)]
            assert (other, start) == (key, max(holding))
            assert start + length >= minute
