from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from medlstm.settings.workspace import parse_config
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)


def _config(**source):
    settings = {"format": "wide_parquet", "outcome_cap_hours": 168, "columns": {"gender": "sex"}} | source
    features = {"numeric": ["age"], "categorical": ["gender"]}
    return parse_config({"source": settings, "features": features}, {}, "test")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    return place


def _dyn(rows):
    frame = pd.DataFrame(rows, columns=["stay_id", "hours", "hr", "temp"])
    frame.insert(1, "time", pd.to_timedelta(frame.pop("hours"), unit="h").astype("timedelta64[s]"))
    return frame


def _write(folder, dyn, sta, outc=None):
    dyn.to_parquet(folder / "dyn.parquet")
    sta.to_parquet(folder / "sta.parquet")
    if outc is not None:
        outc.to_parquet(folder / "outc.parquet")


STA = pd.DataFrame({"stay_id": [1, 2], "age": [61.0, np.nan], "sex": ["Male", "Female"]})


def test_a_known_length_ends_the_stay_as_the_date_begins_and_a_capped_one_leaves_it_open(folder, tmp_path):
    outc = pd.DataFrame({"stay_id": [1, 1, 2], "time": pd.to_timedelta([0, 3, 5], unit="h"), "label": [40, 37, 168.0]})
    _write(folder, _dyn([(1, 0, 80, np.nan), (1, 3, np.nan, 37.1), (2, 5, 70, 36)]), STA, outc)
    take_in_and_validate(tmp_path, DAY, _config())
    ended, still_in = admitted(tmp_path, "stays", DAY)
    assert ended["discharged_at"].isoformat() == "2026-03-28T00:00:00+00:00"
    assert ended["discharged_at"] - ended["admitted_at"] == timedelta(hours=40)
    assert still_in["discharged_at"] is None
    assert still_in["admitted_at"].isoformat() == "2026-03-28T19:00:00+00:00"
    assert (ended["age"], still_in["age"], ended["gender"]) == (61, None, "Male")


def test_every_cell_that_holds_a_value_is_one_observation_and_nan_is_none(folder, tmp_path):
    _write(folder, _dyn([(1, 0, 80, np.nan), (1, 3, np.nan, 37.1), (2, 5, 70, 36)]), STA)
    reports = take_in_and_validate(tmp_path, DAY, _config())
    assert reports["observations"].rows_in == reports["observations"].admitted == 4
    found = {(row["stay_id"], row["variable"], row["value"]): row for row in admitted(tmp_path, "observations", DAY)}
    assert set(found) == {("1", "hr", 80.0), ("1", "temp", 37.1), ("2", "hr", 70.0), ("2", "temp", 36.0)}
    # Without outcomes both are open at the end of the date; the stay of 3 hours began at 21:00.
    assert found["1", "hr", 80.0]["observed_at"].isoformat() == "2026-03-28T21:00:00+00:00"
    assert found["2", "hr", 70.0]["source_row"] == 3


def test_plain_numbers_of_minutes_and_an_admission_of_the_static_table(folder, tmp_path):
    sta = STA.assign(begin=["2026-03-27 10:00", "2026-03-27 11:00"])
    dyn = _dyn([(1, 0, 80, np.nan)]).assign(time=[90.0])
    outc = pd.DataFrame({"stay_id": [1], "time": [90], "label": [4.5]})
    _write(folder, dyn, sta, outc)
    config = _config(time_unit="minutes", columns={"gender": "sex", "admitted_at": "begin"})
    take_in_and_validate(tmp_path, DAY, config)
    (row,) = admitted(tmp_path, "observations", DAY)
    assert row["observed_at"].isoformat() == "2026-03-27T11:30:00+00:00"
    assert admitted(tmp_path, "stays", DAY)[0]["discharged_at"].isoformat() == "2026-03-27T16:00:00+00:00"


def test_a_stay_without_statics_and_an_infinite_value_are_quarantined_and_the_rest_goes_through(folder, tmp_path):
    _write(folder, _dyn([(1, 0, np.inf, 36.5), (9, 0, 80, np.nan)]), STA)
    reports = take_in_and_validate(tmp_path, DAY, _config())
    assert reports["observations"].admitted == 1
    assert sorted((row["stay_id"], row["variable"]) for row in quarantined(tmp_path, "observations", DAY)) == [
        ("1", "hr"), ("9", "hr"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "break_it", "reason"),
    [
        ("sta.parquet", lambda path: STA.drop(columns="sex").to_parquet(path), "the column sex is missing"),
        ("dyn.parquet", lambda path: path.write_bytes(path.read_bytes()[:-40]), "is it complete"),
        ("dyn.parquet", lambda path: STA.to_parquet(path), "the column time is missing"),
        ("outc.parquet", lambda path: STA.to_parquet(path), "the column time is missing"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_the_others_go_through(folder, tmp_path, name, break_it, reason):
    _write(folder, _dyn([(1, 0, 80, 36.5)]), STA)
    break_it(folder / name)
    landed = take_in(tmp_path, DAY, _config())
    assert [file.source_file for file in landed.unreadable] == [name]
    assert reason in landed.unreadable[0].reason
    assert landed.files_read == (2 if name == "outc.parquet" else 1)
    assert landed.stays == (0 if name == "sta.parquet" else 2)


def test_a_rerun_hands_over_equal_rows_and_unknown_files_are_counted(folder, tmp_path):
    _write(folder, _dyn([(1, 0, 80, 36.5)]), STA)
    (folder / "notes.txt").write_text("x")
    landed = take_in(tmp_path, DAY, _config())
    first = raw(tmp_path, "observations", DAY)
    take_in(tmp_path, DAY, _config())
    assert raw(tmp_path, "observations", DAY) == first
    assert "1 of 3 files match neither" in landed.warnings[0]


def test_words_for_nothing_and_types_of_any_program_in_a_folder_of_parts(folder, tmp_path):
    day = timedelta(days=1) / timedelta(hours=1)
    dyn = pd.DataFrame({"stay_id": [2026000000171.0, 2026000000172.0], "time": [1.0, day], "hr": ["80", "NULL"]})
    sta = pd.DataFrame({"stay_id": ["2026000000171", "2026000000172"], "age": [61, 62], "sex": ["NULL", "NA"]})
    (folder / "dyn.parquet").mkdir()
    (folder / "STA.PARQUET").mkdir()
    dyn.to_parquet(folder / "dyn.parquet" / "part-00000.snappy.parquet")
    sta.to_parquet(folder / "STA.PARQUET" / "part-00000.snappy.parquet")
    (folder / "dyn.parquet" / "_SUCCESS").touch()
    landed = take_in(tmp_path, DAY, _config())
    assert (landed.unreadable, landed.warnings) == ((), ())
    found = [(row["stay_id"], row["variable"], row["value"]) for row in raw(tmp_path, "observations", DAY)]
    assert found == [("2026000000171", "hr", "80")]
    assert [row["gender"] for row in raw(tmp_path, "stays", DAY)] == [None, "NA"]
