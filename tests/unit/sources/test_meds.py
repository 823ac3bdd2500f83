from datetime import date, datetime

import meds
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from medlstm.errors import ConfigError
from medlstm.settings.workspace import parse_config
from medlstm.sources import meds_events
from medlstm.sources.meds_codes import CodeBook
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)
VARIABLES = {"HR": "heart_rate", "LAB//CREA*": "creatinine", "LOINC/2345-7": "glucose"}


def _config(**source):
    settings = {"format": "meds", "variables": VARIABLES} | source
    features = {"numeric": ["age"], "categorical": ["gender"]}
    limits = {"max_quarantined_share": 1.0}
    return parse_config({"source": settings, "features": features, "contracts": limits}, {}, "test")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    for name in ("data", "metadata"):
        (place / name).mkdir(parents=True)
    return place


def _t(text):
    return None if text is None else datetime.fromisoformat(text)


def _events(*rows, **extra):
    """(subject, time, code, number) as a table that the published schema accepts."""
    table = pa.table(
        {
            "subject_id": pa.array([row[0] for row in rows], pa.int64()),
            "time": pa.array([_t(row[1]) for row in rows], pa.timestamp("us")),
            "code": pa.array([row[2] for row in rows], pa.string()),
            "numeric_value": pa.array([row[3] for row in rows], pa.float32()),
            **{name: pa.array(values) for name, values in extra.items()},
        }
    )
    meds.DataSchema.validate(table)
    return table


def _codes(*pairs):
    table = pa.table(
        {
            "code": pa.array([code for code, _ in pairs], pa.string()),
            "description": pa.array([None] * len(pairs), pa.string()),
            "parent_codes": pa.array([parents for _, parents in pairs], pa.list_(pa.string())),
        }
    )
    meds.CodeMetadataSchema.validate(table)
    return table


FIRST = (
    (7, None, "GENDER//F", None),
    (7, "1960-03-28", meds.birth_code, None),
    (7, "2026-03-20T08:00", "HR", 70.0),
    (7, "2026-03-20T10:00", "HOSPITAL_ADMISSION//EW", None),
    (7, "2026-03-20T11:00", "HR", 80.0),
    (7, "2026-03-20T11:00", "LAB//CREA//mg/dL", 1.1),
    (7, "2026-03-21T09:00", "HOSPITAL_DISCHARGE//HOME", None),
    (7, "2026-03-27T10:00", "HOSPITAL_ADMISSION//EW", None),
    (7, "2026-03-27T12:00", "GLU", 99.5),
    (7, "2026-03-27T13:00", "HR", None),
)
SECOND = (
    (9, "2026-03-26T10:00", "HOSPITAL_ADMISSION", None),
    (9, "2026-03-27T09:00", "HR", 90.0),
    (9, "2026-03-27T09:30", "HOSPITAL_DISCHARGE//DIED", None),
    (9, "2026-03-27T09:30", meds.death_code, None),
)


def test_admissions_and_discharges_make_stays_with_the_statics_of_their_subject(folder, tmp_path):
    pq.write_table(_events(*FIRST, *SECOND), folder / "data" / "0.parquet")
    landed = take_in(tmp_path, DAY, _config())
    rows = raw(tmp_path, "stays", DAY)
    assert [(row["stay_id"], row["patient_id"], row["discharged_at"], row["died"], row["gender"]) for row in rows] == [
        ("7/2026-03-20T10:00:00", "7", "2026-03-21T09:00:00", "false", "F"),
        ("7/2026-03-27T10:00:00", "7", None, None, "F"),
        ("9/2026-03-26T10:00:00", "9", "2026-03-27T09:30:00", "true", None),
    ]
    assert [row["age"] for row in rows] == ["65", "65", None]
    assert [row["source_row"] for row in rows] == [4, 8, 11]
    assert not landed.warnings
    assert landed.left_out == {
        "measurements hold no number and were left out": 1, "measurements lie in no stay and were left out": 1
    }  # fmt: skip


def test_codes_are_named_by_patterns_and_by_the_parents_of_codes_parquet(folder, tmp_path):
    pq.write_table(_events(*FIRST, *SECOND), folder / "data" / "0.parquet")
    pq.write_table(_codes(("GLU", ["LOINC/2345-7"]), ("HR", None)), folder / "metadata" / "codes.parquet")
    landed = take_in(tmp_path, DAY, _config())
    assert (landed.files_read, landed.unreadable) == (2, ())
    take_in_and_validate(tmp_path, DAY, _config())
    rows = {(row["stay_id"], row["variable"]): row["value"] for row in admitted(tmp_path, "observations", DAY)}
    assert rows == {
        ("7/2026-03-20T10:00:00", "heart_rate"): 80.0,
        ("7/2026-03-20T10:00:00", "creatinine"): 1.1,
        ("7/2026-03-27T10:00:00", "glucose"): 99.5,
        ("9/2026-03-26T10:00:00", "heart_rate"): 90.0,
    }


def test_a_stay_column_names_the_stays(folder, tmp_path):
    stays = [None, None, 1, 1, 1, 1, 1, 2, 2, 2]
    pq.write_table(_events(*FIRST, hadm_id=stays), folder / "data" / "0.parquet")
    take_in(tmp_path, DAY, _config(stay_column="hadm_id"))
    assert [(row["stay_id"], row["discharged_at"]) for row in raw(tmp_path, "stays", DAY)] == [
        ("1", "2026-03-21T09:00:00"), ("2", None),
    ]  # fmt: skip
    # The row before the admission names its stay, so it belongs to it.
    found = [(row["stay_id"], row["variable"]) for row in raw(tmp_path, "observations", DAY)]
    assert found == [("1", "heart_rate"), ("1", "heart_rate"), ("1", "creatinine")]


def test_batches_that_end_within_a_subject_give_the_same_rows(folder, tmp_path, monkeypatch):
    shifted = [(100 + subject, *row[1:]) for subject in range(20) for row in FIRST]
    pq.write_table(_events(*shifted), folder / "data" / "0.parquet")
    take_in(tmp_path, DAY, _config())
    whole = [raw(tmp_path, table, DAY) for table in ("stays", "observations")]
    monkeypatch.setattr(meds_events, "BATCH_ROWS", 7)
    take_in(tmp_path, DAY, _config())
    assert [raw(tmp_path, table, DAY) for table in ("stays", "observations")] == whole
    assert len(whole[0]) == 40


def test_shards_that_break_the_standard_are_named_and_the_others_go_through(folder, tmp_path):
    pq.write_table(_events(*FIRST), folder / "data" / "0.parquet")
    pq.write_table(_events(*SECOND, FIRST[4], SECOND[0]), folder / "data" / "1.parquet")
    pq.write_table(_events(*SECOND).drop_columns(["code"]), folder / "data" / "2.parquet")
    (folder / "data" / "3.parquet").write_bytes(b"PAR1 cut")
    pq.write_table(_events(*SECOND), folder / "data" / "4.parquet")
    (folder / "metadata" / "dataset.json").write_text("{}")
    landed = take_in(tmp_path, DAY, _config())
    reasons = {file.source_file: file.reason for file in landed.unreadable}
    assert set(reasons) == {"data/1.parquet", "data/2.parquet", "data/3.parquet"}
    assert "do not lie together" in reasons["data/1.parquet"]
    assert "the column code is missing" in reasons["data/2.parquet"]
    # What lay before the break was handed over: the shard's first subject.
    assert landed.stays == 4
    assert any("1 files match neither data nor metadata" in warning for warning in landed.warnings)


def test_a_value_that_is_no_finite_number_is_quarantined(folder, tmp_path):
    rows = (*FIRST, (7, "2026-03-27T14:00", "HR", float("inf")), (7, "2026-03-27T15:00", "HR", float("nan")))
    pq.write_table(_events(*rows), folder / "data" / "0.parquet")
    take_in_and_validate(tmp_path, DAY, _config())
    assert [row["rule"] for row in quarantined(tmp_path, "observations", DAY)] == ["not_a_number"]


def test_a_feature_without_codes_is_refused(folder, tmp_path):
    pq.write_table(_events(*FIRST), folder / "data" / "0.parquet")
    with pytest.raises(ConfigError, match=r"nothing gives gender; name its codes in \[source.statics\]"):
        take_in(tmp_path, DAY, _config(statics={}))


@pytest.mark.parametrize(
    ("pattern", "code", "text"),
    [("GENDER//*", "GENDER//F", "F"), ("*//SEX//*", "A//SEX//male", "male"), ("SEX_M", "SEX_M", "SEX_M"),
     ("R?CE//*", "RACE//", None)],
)  # fmt: skip
def test_a_static_is_what_the_last_star_stands_for(pattern, code, text):
    source = _config(statics={"gender": [pattern]}).source
    assert CodeBook(source, {}).meaning(code).text == text


ADMITTED, LEFT = "HOSPITAL_ADMISSION//EW", "HOSPITAL_DISCHARGE//HOME"


def _with_times(table, kind):
    return table.set_column(1, "time", table.column("time").cast(kind))


@pytest.mark.parametrize(
    ("kind", "zone"),
    [(pa.timestamp("ns"), ""), (pa.timestamp("ms"), ""), (pa.timestamp("s"), ""), (pa.timestamp("us", "UTC"), "Z"),
     (pa.timestamp("ns", "America/New_York"), "Z"), (pa.timestamp("s", "+00:00"), "Z")],
)  # fmt: skip
def test_times_of_any_unit_are_read_and_those_with_a_zone_are_instants(folder, tmp_path, kind, zone):
    pq.write_table(_with_times(_events(*FIRST), kind), folder / "data" / "0.parquet", store_schema=True)
    landed = take_in(tmp_path, DAY, _config())
    assert landed.unreadable == ()
    assert [row["admitted_at"] for row in raw(tmp_path, "stays", DAY)] == [
        f"2026-03-20T10:00:00{zone}", f"2026-03-27T10:00:00{zone}",
    ]  # fmt: skip
    assert [row["age"] for row in raw(tmp_path, "stays", DAY)] == ["65", "65"]
    assert {row["observed_at"] for row in raw(tmp_path, "observations", DAY)} == {f"2026-03-20T11:00:00{zone}"}


def test_what_is_finer_than_a_microsecond_is_cut_off(folder, tmp_path):
    rows = _with_times(_events(*FIRST), pa.timestamp("ns"))
    finer = pc.add(rows.column("time").cast(pa.int64()), 1_999).cast(pa.timestamp("ns"))
    pq.write_table(rows.set_column(1, "time", finer), folder / "data" / "0.parquet")
    take_in(tmp_path, DAY, _config())
    assert raw(tmp_path, "stays", DAY)[0]["admitted_at"] == "2026-03-20T10:00:00.000001"


def test_a_stay_has_one_name_whatever_the_fractions_of_other_times(folder, tmp_path):
    finer = (8, "2026-03-27T10:00:00.250000", "HOSPITAL_ADMISSION", None)
    pq.write_table(_events(*FIRST, finer), folder / "data" / "0.parquet")
    take_in(tmp_path, DAY, _config())
    assert [row["stay_id"] for row in raw(tmp_path, "stays", DAY)] == [
        "7/2026-03-20T10:00:00", "7/2026-03-27T10:00:00", "8/2026-03-27T10:00:00.250000",
    ]  # fmt: skip


def test_a_birth_is_a_day_whatever_the_zones(folder, tmp_path):
    on_the_birthday = [(7, "1960-03-28", meds.birth_code, None), (7, "2026-03-28T12:00", ADMITTED, None),
                       (8, "1960-03-28", meds.birth_code, None), (8, "2026-03-27T12:00", ADMITTED, None)]  # fmt: skip
    pq.write_table(_with_times(_events(*on_the_birthday), pa.timestamp("us", "UTC")), folder / "data" / "0.parquet")
    config = _config()
    far_west = config.workspace.model_copy(update={"timezone": "America/Los_Angeles"})
    take_in(tmp_path, DAY, config.model_copy(update={"workspace": far_west}))
    assert [row["age"] for row in raw(tmp_path, "stays", DAY)] == ["66", "65"]


def test_a_birth_at_a_local_midnight_that_utc_calls_the_day_before_is_that_day(folder, tmp_path):
    rows = [(7, "1960-03-27T23:00", meds.birth_code, None), (7, "2026-03-27T12:00", ADMITTED, None)]
    pq.write_table(_with_times(_events(*rows), pa.timestamp("us", "UTC")), folder / "data" / "0.parquet")
    config = _config()
    berlin = config.workspace.model_copy(update={"timezone": "Europe/Berlin"})
    take_in(tmp_path, DAY, config.model_copy(update={"workspace": berlin}))
    assert [row["age"] for row in raw(tmp_path, "stays", DAY)] == ["65"]


def test_columns_that_cannot_be_read_exactly_are_refused_with_the_reason(folder, tmp_path):
    whole = _events(*FIRST)
    texts = pa.array([None if one[1] is None else one[1] for one in FIRST])
    pq.write_table(whole.set_column(1, "time", texts), folder / "data" / "0.parquet")
    floats = pa.array([float(2**53 + 2)] * len(FIRST))
    pq.write_table(whole.set_column(0, "subject_id", floats), folder / "data" / "1.parquet")
    reasons = [file.reason for file in take_in(tmp_path, DAY, _config()).unreadable]
    assert "time is string and no timestamp" in reasons[0]
    assert "float beyond 2^53" in reasons[1]


@pytest.mark.parametrize(
    ("events", "stays"),
    [
        # A transfer: the discharge ends the old stay, the admission of the same moment begins the new one.
        ([("20", ADMITTED), ("25", ADMITTED), ("25", LEFT), ("27", LEFT)], [("20", "25"), ("25", "27")]),
        ([("20", ADMITTED), ("25", LEFT), ("25", ADMITTED)], [("20", "25"), ("25", None)]),
        # Two codes for one transfer.
        ([("20", ADMITTED), ("25", LEFT), ("25", ADMITTED), ("25", LEFT), ("25", ADMITTED)],
         [("20", "25"), ("25", None)]),
        ([("20", ADMITTED), ("22", ADMITTED), ("22", LEFT), ("24", LEFT), ("24", ADMITTED)],
         [("20", "22"), ("22", "24"), ("24", None)]),
        # Nothing was open: a stay of no length, not one that is open for ever.
        ([("25", ADMITTED), ("25", LEFT)], [("25", "25")]),
        ([("25", LEFT), ("25", ADMITTED), ("26", ADMITTED)], [("25", "25"), ("26", None)]),
        # A discharge is missing: nobody is in two beds.
        ([("20", ADMITTED), ("25", ADMITTED), ("27", LEFT)], [("20", "25"), ("25", "27")]),
        ([("20", ADMITTED), ("22", LEFT), ("23", LEFT)], [("20", "22")]),
    ],
)  # fmt: skip
def test_at_one_moment_the_discharge_comes_before_the_admission(folder, tmp_path, events, stays):
    rows = [(7, f"2026-03-{day}T10:00", code, None) for day, code in events]
    others = [(6, "2026-03-25T10:00", ADMITTED, None)], [(8, "2026-03-25T10:00", ADMITTED, None)]
    pq.write_table(_events(*others[0], *rows, (7, "2026-03-26T10:00", "HR", 80.0), *others[1]),
                   folder / "data" / "0.parquet")  # fmt: skip
    take_in(tmp_path, DAY, _config())

    def day(text):
        return text and text[8:10]

    found = [(day(row["admitted_at"]), day(row["discharged_at"])) for row in raw(tmp_path, "stays", DAY)]
    assert found == [("25", None), *stays, ("25", None)]
    (place,) = [one["stay_id"] for one in raw(tmp_path, "observations", DAY)] or [None]
    holding = [begin for begin, end in stays if begin <= "26" <= (end or "99")]
    assert place == (f"7/2026-03-{holding[-1]}T10:00:00" if holding else None)


def test_of_admissions_that_name_one_stay_the_first_begins_it(folder, tmp_path):
    rows = [(7, "2026-03-20T10:00", ADMITTED, None), (7, "2026-03-22T10:00", ADMITTED, None),
            (7, "2026-03-23T10:00", LEFT, None), (7, "2026-03-24T10:00", LEFT, None)]  # fmt: skip
    pq.write_table(_events(*rows, hadm_id=[1, 1, 1, None]), folder / "data" / "0.parquet")
    landed = take_in(tmp_path, DAY, _config(stay_column="hadm_id"))
    (stay,) = raw(tmp_path, "stays", DAY)
    assert (stay["admitted_at"], stay["discharged_at"]) == ("2026-03-20T10:00:00", "2026-03-23T10:00:00")
    told = " ".join(landed.warnings)
    assert "1 admissions repeat the one of the same stay" in told
    assert "1 discharges follow no admission" in told


def test_a_number_in_text_value_is_a_value_and_words_are_counted(folder, tmp_path):
    texts = ["7.25", "<5", "positive", " 1e2 ", None, "120/80", "9"]
    hours = [(7, f"2026-03-27T{11 + place}:00", "HR", 80.0 if place == 6 else None) for place in range(7)]
    rows = [(7, None, "SEX", None), (7, "2026-03-27T10:00", ADMITTED, None), *hours]
    table = _events(*rows).append_column("text_value", pa.array(["F", None, *texts], pa.large_string()))
    pq.write_table(table, folder / "data" / "0.parquet")
    landed = take_in(tmp_path, DAY, _config(statics={"gender": ["SEX"]}))
    assert raw(tmp_path, "stays", DAY)[0]["gender"] == "F"
    assert landed.left_out == {"measurements hold no number and were left out": 3}
    take_in_and_validate(tmp_path, DAY, _config(statics={"gender": ["SEX"]}))
    assert [row["value"] for row in admitted(tmp_path, "observations", DAY)] == [7.25, 100.0, 80.0]
    assert [row["rule"] for row in quarantined(tmp_path, "observations", DAY)] == ["not_a_number"]
