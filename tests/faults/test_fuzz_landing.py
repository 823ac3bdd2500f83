"""Whatever lies in a landing folder: no traceback, no good row of another file lost, no read outside the folder."""

import gzip
import io
import os
import tarfile
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.settings.workspace import parse_config

DAY = date(2026, 3, 28)
HEADER = b"stay_id,observed_at,variable,value\n"
GOOD = [f"good,2026-03-28T{hour:02}:00:00,HR,80\n".encode() for hour in range(24)]
ROW = b"bad,2026-03-28T01:00:00,HR,80\n"


def _config(**source):
    base = {"format": "csv", "files": [{"pattern": "labs*", "table": "observations"}]}
    return parse_config({"source": source or base, "contracts": {"max_quarantined_share": 1.0}}, {}, "fuzz")


def _take_in(root, config=None):
    place = Workspace(Path(root))
    config = config or _config()
    summary = ingest_date(place, DAY, config)
    report = validate_date(place, DAY, config).reports[1]
    assert report.rows_in == report.admitted + report.quarantined + report.exact_duplicates == summary.observations
    rows = read_table(partition_file(place.admitted("observations"), DAY)).to_pylist()
    refused = read_table(partition_file(place.quarantine("observations"), DAY)).to_pylist()
    return summary, rows, refused


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    (place / "labs-good.csv").write_bytes(HEADER + b"".join(GOOD))
    return place


def _gzipped(content):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


_LONG = HEADER + b"".join(b"bad,2026-03-28T01:%02d:00,HR,%d\n" % (minute % 60, 60 + minute) for minute in range(5000))
# Name, content, and what becomes of the file's rows: (admitted, quarantined), or the words that say it was not read.
CASES = {
    "empty": ("labs.csv", b"", "is it complete"),
    "header alone": ("labs.csv", HEADER, (0, 0)),
    "no end of line": ("labs.csv", HEADER + ROW[:-1], (1, 0)),
    "carriage returns": ("labs.csv", (HEADER + ROW).replace(b"\n", b"\r\n"), (1, 0)),
    "byte order mark": ("labs.csv", b"\xef\xbb\xbf" + HEADER + ROW, (1, 0)),
    "UTF-16": ("labs.csv", (HEADER + ROW).decode().encode("utf-16"), "UTF-8|is it complete|is missing"),
    "mixed encodings": ("labs.csv", HEADER + ROW + "bad,2026-03-28T02:00:00,Bl\xe4ssse,1\n".encode("latin-1"), (1, 1)),
    "ragged rows that are not UTF-8": ("labs.csv", HEADER + ROW + b"bad,\xff,HR,1,9\n" + b"bad,\xe4\n" + ROW, (1, 2)),
    "UTF-8 cut between two blocks": ("labs.csv", HEADER + b"".join(
        b"bad,2026-03-28T01:00:00,Gr\xc3\xb6\xc3\x9fe%d,1\n" % index for index in range(200_000)), (200_000, 0)),
    "a header in Latin-1": ("labs.csv", "stay_id,observed_at,variable,W\xe4rt\n".encode("latin-1") + ROW, "UTF-8"),
    "ragged rows": ("labs.csv", HEADER + ROW + b"bad,1\n" + b"bad,2026-03-28T02:00:00,HR,80,9,9\n" + ROW, (1, 2)),
    "an unclosed quote": ("labs.csv", HEADER + ROW + b'bad,2026-03-28T02:00:00,"HR,81\n' + ROW, None),
    "an unclosed quote in a value": ("labs.csv", HEADER + ROW + b'bad,2026-03-28T02:00:00,HR,"81\n' + ROW, (1, 1)),
    "NUL bytes": ("labs.csv", HEADER + ROW + b"bad,2026-03-28T02:00:00,HR\x00,8\x000\n" + b"\x00" * 50 + b"\n", None),
    "ten megabytes in a field": ("labs.csv", HEADER + ROW + b"bad,x,HR," + b"9" * (10 << 20) + b"\n", None),
    "a wrong delimiter": ("labs.csv", (HEADER + ROW).replace(b",", b";"), "the column stay_id"),
    "decimal commas": ("labs.csv", HEADER + b'bad,2026-03-28T01:00:00,Temp,"37,5"\n', (0, 1)),
    "far years": ("labs.csv", HEADER + b"bad,0001-01-01T00:00:00,HR,1\nbad,9999-12-31T23:59:59,HR,2\n", (1, 1)),
    "years beyond": ("labs.csv", HEADER + b"bad,0000-01-01T00:00:00,HR,1\nbad,12026-01-01T00:00:00,HR,2\n", (0, 2)),
    "infinities": ("labs.csv", HEADER + b"".join(
        b"bad,2026-03-28T01:00:00,HR,%s\n" % value for value in (b"inf", b"-Infinity", b"nan", b"1e999")), (0, 4)),
    "a column twice": ("labs.csv", b"stay_id,observed_at,variable,value,value\n", "appears twice"),
    "truncated gzip": ("labs.csv.gz", _gzipped(_LONG)[:-2000], "is it complete"),
    "no gzip": ("labs.csv.gz", b"\x1f\x8bnot at all", "is it complete"),
    "truncated Parquet": ("labs.parquet", b"PAR1" + b"x" * 100, "is it complete"),
    "a Parquet that is text": ("labs.parquet", HEADER + ROW, "is it complete"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_strange_file_gives_its_good_rows_or_a_reason_and_the_good_file_all_of_its_own(folder, tmp_path, case):
    name, content, expected = CASES[case]
    (folder / name).write_bytes(content)
    summary, rows, refused = _take_in(tmp_path)
    assert sum(row["stay_id"] == "good" for row in rows) == len(GOOD)
    if isinstance(expected, tuple):
        duplicates = summary.observations - len(rows) - len(refused)
        assert (len(rows) - len(GOOD) + duplicates, len(refused)) == (expected[0] + duplicates, expected[1])
        assert not summary.unreadable
    elif expected:
        (unreadable,) = summary.unreadable
        assert unreadable.source_file == name
        assert any(words in unreadable.reason for words in expected.split("|"))
    for row in refused:
        assert row["source_file"] == name


def test_links_folders_named_like_files_and_pipes_are_never_read(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "labs.csv").write_bytes(HEADER + ROW)
    (folder / "labs-link.csv").symlink_to(outside / "labs.csv")
    (folder / "labs-folder-link").symlink_to(outside)
    (folder / "labs-loop").symlink_to(folder)
    (folder / "labs.csv").mkdir()
    (folder / "labs.csv" / "labs-inner.csv").write_bytes(HEADER + ROW)
    os.mkfifo(folder / "labs-pipe.csv")
    summary, rows, _ = _take_in(tmp_path, _config(format="csv", files=[{"pattern": "*", "table": "observations"}]))
    assert summary.files_read == 2
    assert {row["source_file"] for row in rows} == {"labs-good.csv", "labs.csv/labs-inner.csv"}


def test_an_archive_cannot_reach_out_of_itself(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("Time,Parameter,Value\n00:00,RecordID,1\n00:01,HR,1\n")
    with tarfile.open(folder / "set.tar.gz", "w:gz") as archive:
        for name, target in (("../secret.txt", None), ("link.txt", str(tmp_path / "secret.txt"))):
            member = tarfile.TarInfo(name)
            if target:
                member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member, io.BytesIO(b""))
    summary, rows, _ = _take_in(tmp_path, _config(format="physionet2012"))
    assert rows == []
    assert [file.source_file for file in summary.unreadable] == ["set.tar.gz/../secret.txt"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"RecordID,Length_of_stay\n1,5\n", b'a,"b\n', b"\x00" * 99])
def test_a_strange_outcomes_file_costs_no_record(folder, tmp_path, content):
    (folder / "Outcomes-x.txt").write_bytes(content)
    record = "Time,Parameter,Value\n00:00,RecordID,7\n00:00,Age,61\n00:07,HR,80\n"
    (folder / "7.txt").write_text(record)
    (folder / "8.txt").write_bytes(record.encode().replace(b"7\n", b"8\n") + b"00:09,Temp\x00,\xe4\n")
    summary, rows, _ = _take_in(tmp_path, _config(format="physionet2012"))
    assert [row["stay_id"] for row in rows] == ["7"]
    assert {file.source_file for file in summary.unreadable} == {"Outcomes-x.txt", "8.txt"}


_TEXT = HEADER + b"".join(ROW.replace(b"01:00", b"01:%02d" % minute) for minute in range(8))


@pytest.mark.filterwarnings("error", "ignore:module 'sre_.*' is deprecated:DeprecationWarning")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(_TEXT) - 1), st.binary(max_size=4)), max_size=6), st.booleans())
def test_no_bytes_at_all_cost_the_good_file_a_row(changes, packed):
    content = bytearray(_TEXT)
    for place, replacement in changes:
        content[place : place + 1] = replacement
    with TemporaryDirectory() as root:
        folder = Path(root) / "landing" / DAY.isoformat()
        folder.mkdir(parents=True)
        (folder / "labs-good.csv").write_bytes(HEADER + b"".join(GOOD))
        name = "labs.csv.gz" if packed else "labs.csv"
        (folder / name).write_bytes(_gzipped(bytes(content)) if packed else bytes(content))
        _, rows, _ = _take_in(root)
        assert sum(row["source_file"] == "labs-good.csv" for row in rows) == len(GOOD)
