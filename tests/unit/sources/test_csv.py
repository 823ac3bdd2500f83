import gzip
import re
from datetime import date

import pandas as pd
import pytest

from medlstm.errors import ConfigError, LandingError
from medlstm.lake.files import Workspace
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import parse_config
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)
STAYS = {"pattern": "stays*", "table": "stays", "columns": {"stay_id": "Visit", "admitted_at": "In"}}
LONG = {"pattern": "labs*", "table": "observations"}


def _config(*files, **sections):
    base = {"source": {"format": "csv", "files": list(files)}, "features": {"numeric": ["age"]}}
    return parse_config(base | sections, {}, "test")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    return place


def test_columns_are_renamed_and_every_row_says_where_it_came_from(folder, tmp_path):
    (folder / "stays.csv").write_text("Visit,In,age,unused\na,2026-03-28T01:00,61,x\nb,2026-03-28T02:00,,x\n")
    landed = take_in(tmp_path, DAY, _config(STAYS))
    rows = raw(tmp_path, "stays", DAY)
    assert [row["stay_id"] for row in rows] == ["a", "b"]
    assert rows[1]["age"] is None
    assert (rows[1]["source_file"], rows[1]["source_row"], rows[1]["extract_date"]) == ("stays.csv", 2, DAY)
    assert "unused" not in rows[0]
    assert landed.observations == 0


def test_gzip_and_parquet_read_as_plain_files_do(folder, tmp_path):
    text = "stay_id,observed_at,variable,value\na,2026-03-28T01:00:00,HR,80\n"
    (folder / "labs1.csv").write_text(text)
    with gzip.open(folder / "labs2.csv.gz", "wt") as stream:
        stream.write(text)
    frame = pd.DataFrame(
        {"stay_id": ["a"], "observed_at": pd.to_datetime(["2026-03-28T01:00"]), "variable": ["HR"], "value": [80.5]}
    )
    frame.to_parquet(folder / "labs3.parquet")
    assert take_in(tmp_path, DAY, _config(LONG)).files_read == 3
    assert [row["value"] for row in raw(tmp_path, "observations", DAY)] == ["80", "80", "80.5"]
    take_in_and_validate(tmp_path, DAY, _config(LONG))
    rows = admitted(tmp_path, "observations", DAY)
    assert len(rows) == 2
    assert rows[0]["observed_at"].isoformat() == "2026-03-28T01:00:00+00:00"


def test_a_wide_file_gives_one_row_for_each_value_it_has(folder, tmp_path):
    (folder / "vitals.csv").write_text("id,hour,HR,Temp\na,1.5,80,\na,2,,37.1\nghost,1,70,36\n")
    (folder / "stays.csv").write_text("Visit,In,age\na,2026-03-28T01:00,61\n")
    wide = {
        "pattern": "vitals*", "table": "observations", "layout": "wide", "variables": ["HR", "Temp"],
        "columns": {"stay_id": "id", "observed_at": "hour"}, "time_unit": "hours",
    }  # fmt: skip
    config = _config(STAYS, wide, workspace={"timezone": "Europe/Berlin"})
    take_in_and_validate(tmp_path, DAY, config)
    found = admitted(tmp_path, "observations", DAY)
    rows = {(row["variable"], row["value"], row["observed_at"].isoformat()) for row in found}
    # 01:00 in Berlin is midnight in UTC.
    assert rows == {("HR", 80.0, "2026-03-28T01:30:00+00:00"), ("Temp", 37.1, "2026-03-28T02:00:00+00:00")}
    assert [row["rule"] for row in quarantined(tmp_path, "observations", DAY)] == ["admission_unknown"] * 2


def test_an_unknown_unit_of_time_is_refused_with_the_allowed_ones():
    with pytest.raises(ConfigError, match=r"time_unit = 'fortnights'.*'timestamp', 'minutes', 'hours' or 'days'"):
        _config(LONG | {"time_unit": "fortnights"})


def test_the_tutorials_table_runs_from_a_mapping_alone(folder, tmp_path):
    (folder / "medical_data.csv").write_text("age,gender,disease,bmi,bp,los\n61,F,flu,22.1,120,3.5\n40,M,flu,30,140,\n")
    mapping = {"pattern": "*.csv", "table": "stays", "generate_stay_ids": True, "los_column": "los"}
    config = _config(mapping, features={"numeric": ["age", "bmi", "bp"], "categorical": ["gender", "disease"]})
    take_in_and_validate(tmp_path, DAY, config)
    ended, still_in = admitted(tmp_path, "stays", DAY)
    assert ended["stay_id"] != still_in["stay_id"]
    assert (ended["discharged_at"] - ended["admitted_at"]).total_seconds() == 3.5 * 86400
    assert still_in["discharged_at"] is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("labs.csv", b"stay_id,observed_at,variable\na,b,c\n", "the column value"),
        ("labs.csv", b"\xff\xfe\x00s,\x80\x81\n\xc3\x28,a\n", "UTF-8|is it complete"),
        ("labs.csv.gz", b"not gzip at all", "is it complete"),
        ("labs.parquet", b"PAR1 nothing", "is it complete"),
        ("labs.csv", b"", "is it complete"),
        ("labs.xlsx", b"", "neither"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_go_through(folder, tmp_path, name, content, reason):
    (folder / name).write_bytes(content)
    (folder / "labs-good.csv").write_text("stay_id,observed_at,variable,value\na,2026-03-28T01:00:00,HR,80\n")
    landed = take_in(tmp_path, DAY, _config(LONG))
    assert landed.observations == 1
    assert [file.source_file for file in landed.unreadable] == [name]
    assert re.search(reason, landed.unreadable[0].reason)


def test_a_ragged_line_is_quarantined_and_its_neighbours_keep_their_numbers(folder, tmp_path):
    lines = ["stay_id,observed_at,variable,value"]
    lines += [f"a,2026-03-28T0{hour}:00:00,HR,80" for hour in range(5)]
    lines[2] = "a,2026-03-28T01:00:00,HR,80,what,is,this"
    (folder / "labs.csv").write_text("\n".join(lines) + "\n")
    take_in_and_validate(tmp_path, DAY, _config(LONG))
    assert [row["source_row"] for row in admitted(tmp_path, "observations", DAY)] == [1, 3, 4, 5]
    found = quarantined(tmp_path, "observations", DAY)
    assert [(row["rule"], row["source_row"]) for row in found] == [("ragged_line", 2)]


def test_a_missing_folder_is_an_error_and_an_empty_one_a_warning(folder, tmp_path):
    assert take_in(tmp_path, DAY, _config(LONG)).warnings == ("2026-03-28: the landing folder is empty",)
    with pytest.raises(LandingError, match="no such folder"):
        take_in(tmp_path, date(2026, 3, 29), _config(LONG))


def test_hidden_files_and_links_are_left_alone_and_unmatched_ones_are_counted(folder, tmp_path):
    outside = tmp_path / "labs.csv"
    outside.write_text("stay_id,observed_at,variable,value\na,2026-03-28T01:00:00,HR,80\n")
    (folder / "labs-link.csv").symlink_to(outside)
    (folder / ".labs-coming.csv").write_text("half")
    (folder / "readme.txt").write_text("hello")
    landed = take_in(tmp_path, DAY, _config(LONG))
    assert landed.observations == 0
    assert landed.warnings == (
        "2026-03-28: 1 of 1 files match no pattern of [[source.files]] and were not read",
    )


def test_of_two_files_the_one_of_the_higher_number_is_the_later(folder, tmp_path):
    stays = {"pattern": "stays*", "table": "stays",
             "columns": {"stay_id": "Visit", "admitted_at": "In", "discharged_at": "Out"}}  # fmt: skip
    for number, left in ((9, ""), (10, "2026-03-28T05:00")):
        (folder / f"stays_{number}.csv").write_text(f"Visit,In,Out,age\na,2026-03-28T01:00,{left},61\n")
        (folder / f"labs_{number}.csv").write_text(
            f"stay_id,observed_at,variable,value\na,2026-03-28T02:00,HR,{number}\n"
        )
    config = _config(stays, LONG)
    take_in_and_validate(tmp_path, DAY, config)
    (stay,) = load_cohort(Workspace(tmp_path), DAY, config).frame.to_dict("records")
    assert stay["discharged_at"].isoformat() == "2026-03-28T05:00:00+00:00"
    # Of readings of one moment the last one counts.
    assert [row["value"] for row in admitted(tmp_path, "observations", DAY)] == [9.0, 10.0]


def test_an_identifier_that_lost_its_digits_is_quarantined(folder, tmp_path):
    (folder / "labs.csv").write_text(
        "stay_id,observed_at,variable,value\n2.026E+11,2026-03-28T01:00,HR,80\n202600000017,2026-03-28T01:00,HR,81\n"
    )
    take_in_and_validate(tmp_path, DAY, _config(LONG))
    assert [row["value"] for row in admitted(tmp_path, "observations", DAY)] == [81.0]
    (row,) = quarantined(tmp_path, "observations", DAY)
    assert (row["rule"], row["source_row"]) == ("identifier_rounded", 1)
    assert "2.026" not in row["reason"]
