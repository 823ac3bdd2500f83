from datetime import date, datetime

import meds
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlstm.errors import ConfigError
from medlstm.settings.workspace import parse_config
from medlstm.sources import meds as meds_source
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
    assert [warning.split(": ", 1)[1] for warning in landed.warnings] == [
        "1 measurements hold no number and were left out",
        "1 measurements lie in no stay and were left out",
    ]


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
    monkeypatch.setattr(meds_source, "BATCH_ROWS", 7)
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
