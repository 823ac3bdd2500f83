"""Files as programs write them, to raw rows."""

import gzip
import json
from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlstm.settings.workspace import parse_config
from medlstm.sources.read_landing import list_landing, read_landing
from medlstm.sources.source_batch import LandingWarning, RowBatch, UnreadableFile

DAY = date(2026, 3, 28)
STAYS = {
    "pattern": "stays*", "table": "stays",
    "columns": {"stay_id": "visit", "patient_id": "mrn", "admitted_at": "adm", "discharged_at": "dis"},
}  # fmt: skip
LABS = {
    "pattern": "labs*", "table": "observations",
    "columns": {"stay_id": "visit", "observed_at": "t", "variable": "test", "value": "v"},
}  # fmt: skip
WIDE = {
    "pattern": "labs*", "table": "observations", "layout": "wide", "variables": ["HR", "Temp"],
    "columns": {"stay_id": "visit", "observed_at": "t"},
}  # fmt: skip


class Read:
    """What a source hands over of the files given: rows, reasons and warnings."""

    def __init__(self, folder, files, *mappings, **features):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        config = parse_config({"source": {"format": "csv", "files": list(mappings)}, "features": features}, {}, "test")
        landed = list(read_landing(list_landing(folder, DAY), config))
        self.rows = [row for one in landed if isinstance(one, RowBatch) for row in one.rows.to_pylist()]
        self.unreadable = {one.source_file: one.reason for one in landed if isinstance(one, UnreadableFile)}
        self.warnings = [one.message for one in landed if isinstance(one, LandingWarning)]

    def column(self, name):
        return [row.get(name) for row in self.rows]


@pytest.fixture
def read(tmp_path):
    return lambda *arguments, **features: Read(tmp_path, *arguments, **features)


def _labs(**columns):
    rows = len(next(iter(columns.values())))
    usual = {"visit": "a", "t": "2026-03-27", "test": "HR", "v": "1"}
    return pa.table({name: [text] * rows for name, text in usual.items()} | columns)


def _csv(*values, header="visit;t;test;v"):
    return "\n".join([header, *(f"a;2026-03-27;HR;{value}" for value in values)]) + "\n"


def test_identifiers_meet_whatever_type_they_have(read):
    files = {
        "labs1.parquet": _labs(visit=pa.array([202600000017.0, None])),
        "labs2.parquet": _labs(visit=pa.array([Decimal(202600000017)], pa.decimal128(38, 10))),
        "labs3.csv": "visit,t,test,v\n202600000017.0,2026-03-27,HR,1\n2.02600000017E11,2026-03-27,HR,1\n",
        "labs4.jsonl": '{"visit": 202600000017.0, "t": "2026-03-27", "test": "HR", "v": 1}\n',
        "labs5.parquet": _labs(visit=pa.array([2.0**60])),
    }
    found = read(files, LABS)
    assert found.column("stay_id") == ["202600000017", None, *["202600000017"] * 4]
    assert list(found.unreadable) == ["labs5.parquet"]
    assert "the column visit holds identifiers" in found.unreadable["labs5.parquet"]


def test_keys_of_a_join_meet_whatever_type_they_have_and_null_is_no_key(read):
    join = {"name": "p", "pattern": "patients*", "on": {"PAT": "Id"}}
    columns = {"stay_id": "visit", "patient_id": "PAT", "admitted_at": "adm", "sex": "p.sex"}
    files = {
        "stays.csv": "visit,PAT,adm\ns1,NULL,2026-03-27\ns2,202600000017.0,2026-03-27\n",
        "patients.parquet": pa.table({"Id": [202600000017.0, None], "sex": ["F", "M"]}),
        "patients2.csv": "Id,sex\nNULL,M\n",
    }
    found = read(files, STAYS | {"columns": columns, "joins": [join]}, categorical=["sex"])
    assert found.column("sex") == [None, "F"]


def test_a_decimal_comma_is_that_of_texts_and_not_of_typed_numbers(read):
    mapping = LABS | {"decimal_comma": True, "delimiter": ";"}
    texts = ["1.234,5", "245.000", "1 245 000", "1'245'000,5", "1,25", ",5", "999", "-1.250", "1.250e3", "0.250",
             "12.5", "1.234.5"]  # fmt: skip
    found = read({"labs.csv": _csv(*texts)}, mapping)
    assert found.column("value") == [
        "1234.5", "245000", "1245000", "1245000.5", "1.25", ".5", "999", "-1250", "1.250e3", "0.250", "12.5", "1.234.5",
    ]  # fmt: skip
    assert found.warnings == ["2026-03-28: labs.csv: 2 rows have a number with a decimal point, though decimal_comma "
                              "says that numbers have a comma"]  # fmt: skip


@pytest.mark.parametrize("name", ["labs.parquet", "labs.jsonl"])
def test_a_typed_number_of_three_decimals_is_no_thousand(read, name):
    lines = json.dumps({"visit": "a", "t": "2026-03-27", "test": "HR", "v": 1.125})
    files = {name: _labs(v=pa.array([1.125])) if name.endswith("parquet") else lines}
    assert read(files, LABS | {"decimal_comma": True}).column("value") == ["1.125"]


def test_a_duration_counts_in_the_unit_of_the_mapping(read):
    times = pa.array([timedelta(minutes=90)])
    for unit, minutes in (("minutes", 90.0), ("hours", 90.0), ("days", 90.0)):
        found = read({"labs.parquet": _labs(t=times)}, LABS | {"time_unit": unit})
        assert float(found.column("minutes_after_admission")[0]) == pytest.approx(minutes)


def test_words_for_nothing_are_no_measurement_and_sodium_is_a_variable(read):
    text = "visit,t,HR,Temp\na,2026-03-27,NULL,37\na,2026-03-27,80,\\N\nNULL,2026-03-27,NaN, NA \n"
    found = read({"labs.csv": text}, WIDE)
    assert [(row["stay_id"], row["variable"], row["value"]) for row in found.rows] == [
        ("a", "HR", "80"), ("a", "Temp", "37"),
    ]  # fmt: skip
    (sodium,) = read({"labs.csv": "visit,t,test,v\na,2026-03-27,NA,140\n"}, LABS).rows
    assert sodium["variable"] == "NA"


def test_a_category_may_be_named_as_a_word_for_nothing_and_the_list_is_a_setting(read):
    text = "visit,mrn,adm,dis,ward\n" + "".join(f"s,p,2026-03-27,-,{ward}\n" for ward in ("NA", "NULL", "None", "-"))
    found = read({"stays.csv": text}, STAYS, categorical=["ward"])
    assert (found.column("ward"), found.column("discharged_at")) == (["NA", None, "None", "-"], ["-"] * 4)
    found = read({"stays.csv": text}, STAYS | {"null_texts": ["-"], "spellings": {"ward": {"-": "none"}}},
                 categorical=["ward"])  # fmt: skip
    assert (found.column("ward"), found.column("discharged_at")) == (["NA", "NULL", "None", "none"], [None] * 4)


def test_json_lines_may_leave_out_keys_in_some_lines_or_in_all(read):
    stay = {"visit": "s1", "mrn": "p1", "adm": "2026-03-27"}
    text = "\n".join(map(json.dumps, [stay, stay | {"dis": "2026-03-28"}]))
    found = read({"stays.jsonl": text}, STAYS, categorical=["ward"])
    assert found.column("discharged_at") == [None, "2026-03-28"]
    assert found.warnings == [
        "2026-03-28: stays.jsonl: 2 rows have no key ward, as no line of the file has: missing in all of them"
    ]
    needed = read({"stays.jsonl": '{"visit": "s1", "mrn": "p1"}'}, STAYS)
    assert "the column adm (for admitted_at) is missing" in needed.unreadable["stays.jsonl"]
    assert read({"labs.jsonl": '{"visit": "a", "t": "2026-03-27", "HR": 80}'}, WIDE).column("variable") == ["HR"]
    array = read({"labs.json": '[{"visit": "a"}]'}, LABS)
    assert "one JSON array" in array.unreadable["labs.json"]


def test_a_folder_of_parts_is_one_table(read):
    files = {
        "stays/ward=Post%20Op/part-00000.csv": "visit,mrn,adm,dis\ns1,p1,2026-03-27,\n",
        "stays/ward=__HIVE_DEFAULT_PARTITION__/part-00001.csv.gz": gzip.compress(
            b"visit,mrn,adm,dis\ns2,p2,2026-03-27,\n"
        ),
        "stays/ward=ICU/part-00002.csv": "",
        "stays/_SUCCESS": "",
        "stays/_committed_1": "{}",
    }
    found = read(files, STAYS | {"pattern": "stays"}, categorical=["ward"])
    assert {row["stay_id"]: row["ward"] for row in found.rows} == {"s1": "Post Op", "s2": None}
    assert (found.unreadable, found.warnings) == ({}, [])


def test_a_delta_table_is_refused_for_its_files_may_hold_deleted_rows(read):
    found = read({"labs/part-0.parquet": _labs(v=["1"]), "labs/_delta_log/0.json": '{"add": {}}\n'}, LABS)
    assert found.rows == []
    assert all("Delta table" in reason for reason in found.unreadable.values())
    assert len(found.unreadable) == 2


def test_upper_case_names_read_as_lower_case_ones(read):
    files = {
        "STAYS.TSV": "visit\tmrn\tadm\tdis\ns1\tp1\t2026-03-27\t\n",
        "LABS.JSONL.GZ": gzip.compress(b'{"visit": "a", "t": "2026-03-27", "test": "HR", "v": 1}\n'),
        "Labs.PARQUET": _labs(v=pa.array([2])),
    }
    found = read(files, STAYS | {"pattern": "stays*.tsv", "delimiter": "\t"}, LABS)
    assert sorted(found.column("value"), key=str) == ["1", "2", None]
    assert found.unreadable == {}


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("visit;mrn;adm;dis;;;", ["s1;p1;2026-03-27;;;;", "s2;p2;2026-03-27;;;;"]),
        ("visit;mrn;adm;dis", ["s1;p1;2026-03-27;;;", "s2;p2;2026-03-27;;;", "s3;p3;2026-03-27;"]),
        ("visit;mrn;adm;dis;;", ["s1;p1;2026-03-27;", "s2;p2;2026-03-27;"]),
        ("note;visit;note;mrn;adm;dis;stay_id;value;stay_id;value", ["x;s1;y;p1;2026-03-27;;1;2;3;4"]),
        ('Größe;"visit";mrn;adm;dis', ["x;s1;p1;2026-03-27;"]),
    ],
)
def test_columns_that_nobody_asked_for_never_matter(read, header, rows):
    content = "\n".join([header, *rows, "broken;line"]).encode("latin-1")
    found = read({"stays.csv": content}, STAYS | {"delimiter": ";"})
    assert found.unreadable == {}
    assert [(row["source_row"], row.get("stay_id")) for row in found.rows] == [
        *((n + 1, f"s{n + 1}") for n in range(len(rows))), (len(rows) + 1, None),
    ]  # fmt: skip


def test_a_column_that_is_asked_for_matters(read):
    twice = read({"stays.csv": "visit,mrn,adm,dis,mrn\ns1,p1,2026-03-27,,p2\n"}, STAYS)
    assert "the column mrn appears twice" in twice.unreadable["stays.csv"]
    nested = read({"labs.parquet": _labs(v=pa.array([{"x": 1}]))}, LABS)
    assert "the column v is nested" in nested.unreadable["labs.parquet"]
    wide_text = read({"stays.csv": "visit,mrn,adm,dis\n".encode("utf-16")}, STAYS)
    assert 'set encoding = "utf-16"' in wide_text.unreadable["stays.csv"]


def test_quotes_enclose_fields_unless_the_mapping_says_that_they_do_not(read):
    text = 'visit;t;test;v\n"a";2026-03-27;HR;1\nb;2026-03-27;"HR;2\n'
    found = read({"labs.csv": text}, LABS | {"delimiter": ";"})
    assert [(row["stay_id"], row["variable"]) for row in found.rows] == [("a", "HR"), ("b", '"HR')]
    assert len(found.warnings) == 1
    found = read({"labs.csv": text}, LABS | {"delimiter": ";", "quoting": "none"})
    assert [(row["stay_id"], row["variable"]) for row in found.rows] == [('"a"', "HR"), ("b", '"HR')]
    assert found.warnings == []


def test_a_format_that_names_utc_reads_utc_and_24_00_ends_the_day(read):
    written = ["%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M UTC"]
    formats = {"time_formats": written, "timezone": "Europe/Berlin"}
    times = ["27.03.2026 24:00", "27.03.2026 10:24:00", "27.03.2026 10:00 UTC", "27.03.2026 24:00:15"]
    text = "visit,t,test,v\n" + "".join(f"a,{one},HR,1\n" for one in times)
    assert read({"labs.csv": text}, LABS | formats).column("observed_at") == [
        "2026-03-27T23:00:00Z", "2026-03-27T09:24:00Z", "2026-03-27T10:00:00Z", "27.03.2026 24:00:15",
    ]  # fmt: skip


def test_timestamps_of_old_spark_do_not_run_over(read, tmp_path):
    far = pa.table({"visit": ["s1"], "mrn": ["p1"], "adm": pa.array([0], pa.timestamp("us")),
                    "dis": pa.array([253_402_214_400_000_000], pa.timestamp("us"))})  # fmt: skip
    pq.write_table(far, tmp_path / "stays.parquet", use_deprecated_int96_timestamps=True)
    assert read({}, STAYS).column("discharged_at") == ["9999-12-31T00:00:00.000000"]
