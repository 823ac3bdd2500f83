"""What a mapping says beside columns: fallbacks, codes, ages, deaths, the newest of joined rows, rows left out."""

from datetime import date

import pyarrow as pa
import pytest

from medlstm.errors import ConfigError
from medlstm.settings.workspace import parse_config
from medlstm.sources.times import ages_from_year, deaths_in_stay
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)
STAYS = {
    "pattern": "stays*", "table": "stays",
    "columns": {"stay_id": "id", "admitted_at": "begin", "discharged_at": "end", "ward": "places.ward"},
    "joins": [{"name": "places", "pattern": "places*", "on": {"id": "stay"}, "newest_by": "since"}],
}  # fmt: skip
LABS = {
    "pattern": "labs*", "table": "observations", "variable_codes": "loinc", "known_variables_only": True,
    "columns": {"stay_id": "stay", "observed_at": "at", "variable": "code", "value": "value"},
    "spellings": {"variable": {"HB": "hemoglobin"}},
}  # fmt: skip


def _config(*files):
    base = {
        "source": {"format": "csv", "files": list(files)},
        "features": {"numeric": ["age"], "categorical": ["ward"]},
        "contracts": {"max_quarantined_share": 1.0},
    }
    return parse_config(base, {}, "test")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    (place / "stays.csv").write_text(
        "id,begin,begin_day,end,age,year,death\n"
        "s1,2026-03-27 10:00,2026-03-27,,60,2020,\n"
        "s2,,2026-03-26,2026-03-27 09:00,91,2026,2026-03-26\n"
        "s3, ,2026-03-26,2026-03-27 09:00,old,2026,2026-03-20\n"
        "s4,2026-03-20 10:00,2026-03-20,2026-03-21 09:00,,2026,2026\n"
    )
    (place / "places.csv").write_text(
        "stay,ward,since\ns1,ICU,2026-03-28 01:00\ns1,ER,2026-03-27 10:00\ns1,nowhere,\n"
        "s2,A,2026-03-26\ns2,B,2026-03-26\n"
    )
    return place


def _stays(tmp_path, **change):
    mapping = STAYS | change
    take_in(tmp_path, DAY, _config(mapping))
    return {row["stay_id"]: row for row in raw(tmp_path, "stays", DAY)}


def test_of_joined_rows_the_newest_counts_and_of_equally_new_ones_the_last(folder, tmp_path):
    assert [row["ward"] for row in _stays(tmp_path).values()] == ["ICU", "B", None, None]


def test_a_column_that_is_empty_has_another_stand_in_for_it(folder, tmp_path):
    rows = _stays(tmp_path, fallbacks={"admitted_at": "begin_day"})
    assert [row["admitted_at"] for row in rows.values()] == [
        "2026-03-27 10:00", "2026-03-26", "2026-03-26", "2026-03-20 10:00",
    ]  # fmt: skip


def test_an_age_that_was_told_in_a_year_is_that_of_the_admission(folder, tmp_path):
    rows = _stays(tmp_path, known_age={"age": "age", "year": "year"})
    # The file's own column of that name is not the age at the admission.
    assert [row["age"] for row in rows.values()] == ["66", "91", "old", None]


def test_a_death_is_of_the_stay_that_it_ends(folder, tmp_path):
    columns = STAYS["columns"] | {"admitted_at": "begin_day", "died_at": "death"}
    rows = _stays(tmp_path, columns=columns)
    assert [row["died"] for row in rows.values()] == [None, "true", "false", None]


@pytest.mark.parametrize(
    ("death", "died"),
    [
        (None, "false"), ("2026-03-20", "true"), ("2026-03-20T09:00:00", "true"), ("2026-03-19", "false"),
        ("2026-03-22", "true"), ("2026-03-22T09:00:00", "true"), ("2026-03-22T09:00:01", "false"),
        ("2026-03-23", "false"), ("2026-03", None), ("2026", None), ("unknown", None),
        # The night before in UTC, the day of the admission in the hospital.
        ("2026-03-19T23:30:00Z", "true"),
    ],
)  # fmt: skip
def test_a_death_counts_from_the_day_of_the_admission_to_a_day_after_the_discharge(death, died):
    def column(value):
        return pa.array([value], pa.string())

    begin, end = column("2026-03-20T10:00:00"), column("2026-03-21T09:00:00")
    assert deaths_in_stay(begin, end, column(death), "Europe/Berlin").to_pylist() == [died]
    assert deaths_in_stay(begin, column(None), column(death), "Europe/Berlin").to_pylist() == [None]


def test_an_age_without_a_year_or_a_number_stays_as_it_was_received():
    age, year = pa.array(["60", "60", "> 89", None]), pa.array(["2020", None, "2020", "2020"])
    at = pa.array(["2025-12-31T23:30:00Z"] * 4)
    assert ages_from_year(age, year, at, "Europe/Berlin").to_pylist() == ["66", "60", "> 89", None]


def test_rows_of_other_variables_and_of_no_stay_are_left_out_and_counted(folder, tmp_path):
    (folder / "labs.csv").write_text(
        "stay,at,code,value,kind\n"
        "s1,2026-03-27 11:00,2345-7,90,lab\n"
        "s1,2026-03-27 11:00, HB ,12,lab\n"
        "s1,2026-03-27 11:00,glucose,91,lab\n"
        "s1,2026-03-27 11:00,9999-9,92,lab\n"
        "s1,2026-03-27 11:00,,93,lab\n"
        ",2026-03-27 11:00,2345-7,94,lab\n"
        " ,2026-03-27 11:00,2345-7,95,lab\n"
        "s1,2026-03-27 11:00,2345-7,96,\n"
        "s1,2026-03-27 11:00,2345-7,97, \n"
    )
    labs = LABS | {"without_stay": "leave_out", "drop": {"kind": [""]}}
    reports = take_in_and_validate(tmp_path, DAY, _config(labs, STAYS))
    found = [(row["variable"], row["value"]) for row in admitted(tmp_path, "observations", DAY)]
    assert sorted(found) == [("glucose", 90.0), ("hemoglobin", 12.0)]
    assert [row["rule"] for row in quarantined(tmp_path, "observations", DAY)] == ["variable_missing"]
    assert reports["observations"].rows_in == 3
    landed = take_in(tmp_path, DAY, _config(labs, STAYS))
    assert not any("labs" in one for one in landed.warnings)
    assert landed.left_out == {
        "labs*: by keep and drop": 2, "labs*: of no stay": 2, "labs*: of variables that the mapping does not name": 2
    }  # fmt: skip


def test_names_of_the_reference_are_known_where_no_codes_are_told(folder, tmp_path):
    (folder / "labs.csv").write_text("stay,at,code,value\ns1,2026-03-27 11:00,glucose,90\ns1,2026-03-27 11:00,x,91\n")
    take_in(tmp_path, DAY, _config({name: value for name, value in LABS.items() if name != "variable_codes"}))
    assert [row["variable"] for row in raw(tmp_path, "observations", DAY)] == ["glucose"]


def test_a_row_that_names_no_stay_has_that_of_its_time_where_there_is_one(folder, tmp_path):
    (folder / "labs.csv").write_text(
        "stay,patient,at,code,value\n"
        "s9,s2,2026-03-26 11:00,HB,1\n"
        ",s2,2026-03-26 11:00,HB,2\n"
        ",s2,2026-03-29 11:00,HB,3\n"
    )
    join = {"name": "found", "pattern": "stays*", "on": {"patient": "id"},
            "between": {"time": "at", "start": "begin_day", "stop": "end"}}  # fmt: skip
    labs = LABS | {"without_stay": "leave_out", "fallbacks": {"stay_id": "found.id"}, "joins": [join]}
    (folder / "places.csv").unlink()
    landed = take_in(tmp_path, DAY, _config(labs))
    assert {row["value"]: row["stay_id"] for row in raw(tmp_path, "observations", DAY)} == {"1": "s9", "2": "s2"}
    assert not landed.warnings
    assert landed.left_out == {"labs*: of no stay": 1}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (STAYS | {"without_stay": "leave_out"}, "without_stay belongs to table = \"observations\""),
        (STAYS | {"known_variables_only": True}, "known_variables_only belong to observations"),
        (LABS | {"layout": "wide", "variables": ["a"]}, "known_variables_only belong to observations"),
        (LABS | {"known_age": {"age": "a", "year": "b"}}, "known_age belongs to table = \"stays\""),
        (STAYS | {"known_age": {"age": "a", "jahr": "b"}}, "known keys here: age, year"),
        (STAYS | {"known_age": {"age": "a", "year": "b"}, "columns": {"birth_date": "x"}}, "known_age excludes"),
        (STAYS | {"fallbacks": {"died": "x"}}, "stands in for columns.died, which is not set"),
        (STAYS | {"columns": {"died": "x", "died_at": "y"}}, "columns.died_at needs discharged_at"),
        (STAYS | {"joins": [STAYS["joins"][0] | {"between": {"time": "a", "start": "b", "stop": "c"}}]},
         "one of between and newest_by"),
    ],
)  # fmt: skip
def test_a_choice_that_does_not_fit_is_refused_in_words(mapping, message):
    with pytest.raises(ConfigError, match=message):
        _config(mapping)
