"""Indexes of the lake change no result: with them, without them, and where what they were made of is no longer so."""

import os
import shutil
from datetime import date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from medlstm.lake import schemas as tables
from medlstm.lake.compacted import dated_rows
from medlstm.lake.files import Workspace, partition_file, partitions_until, row_count, write_table
from medlstm.lake.partition_facts import rows_of
from medlstm.lake.partitions import partition_identity
from medlstm.sequences.cohort import load_cohort
from medlstm.sequences.stay_versions import known_when
from tests.severity_lake import severity_config

FIRST, DATES = date(2026, 1, 1), 110
LAST = FIRST + timedelta(days=DATES - 1)
CONFIG = severity_config()
SCHEMA = tables.admitted_schema("stays", ["age"], ["ward"])


def told(day: int) -> list[tuple[object, ...]]:
    """Two admissions a day; stays of three days whose ward is corrected on the second, and whose end comes on the
    third; some are taken back."""
    rows = []
    for ago, ward, ended in ((0, "a", False), (1, "b", False), (3, "b", True)):
        begun = day - ago
        if begun < 0:
            continue
        for number in range(2):
            admitted = datetime.combine(FIRST, datetime.min.time()) + timedelta(days=begun, hours=9 + number)
            end = admitted + timedelta(days=3, hours=1) if ended else None
            back = ended and begun % 3 == 0
            rows.append((f"s{begun}-{number}", f"p{begun % 40}", admitted, end, None, 50.0 + begun, ward, back))
    return rows


def write(place: Workspace, days: range) -> None:
    for day in days:
        write_day(place, FIRST + timedelta(days=day), told(day), marked=day % 7 == 0 and day < 66)


def write_day(place: Workspace, day: date, rows: list[tuple[object, ...]], marked: bool) -> None:
    """Partitions of earlier versions lack the mark of rows that were taken back; where it is missing all count."""
    records = [
        dict(zip(SCHEMA.names, (*row[:-1], day, "file", index, row[-1]), strict=True)) for index, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(records, schema=SCHEMA)
    table = table if marked else table.drop_columns(["retracted"])
    write_table(table, partition_file(place.admitted("stays"), day))


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Workspace:
    place = Workspace(tmp_path_factory.mktemp("lake"))
    write(place, range(DATES))
    return place


def seen(place: Workspace, night: date, scope: str) -> tuple[pd.DataFrame, dict[str, str], pd.DataFrame, list[int]]:
    """All that a night takes from the stays."""
    cohort = load_cohort(place, night, CONFIG, scope)
    when = known_when(place, cohort, CONFIG)
    return cohort.frame, dict(cohort.others), when.statics.frame, when.arrivals.versions.end_us.tolist()


def without_index(place: Workspace, night: date, scope: str, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("medlstm.lake.compacted._WORTH_IT", 10**9)
        patched.setattr(Workspace, "indexes", property(lambda self: self.root / "nowhere"))
        return seen(place, night, scope)


def assert_same(one, other) -> None:
    pd.testing.assert_frame_equal(one[0], other[0])
    assert one[1] == other[1]
    pd.testing.assert_frame_equal(one[2], other[2])
    assert one[3] == other[3]


@pytest.mark.parametrize("scope", ["open", "all"])
@pytest.mark.parametrize("back", [0, 5, 60])
def test_what_a_night_knows_does_not_depend_on_the_index(lake, scope, back, monkeypatch):
    night = LAST - timedelta(days=back)
    expected = without_index(lake, night, scope, monkeypatch)
    seen(lake, LAST, scope)
    assert list((lake.indexes / "stays").glob("*.parquet")), "the newest night is late enough to make one"
    assert len(expected[0]) > 3
    assert expected[1]
    assert_same(seen(lake, night, scope), expected)


def test_a_date_that_was_taken_in_again_is_seen(lake, tmp_path, monkeypatch):
    shutil.copytree(lake.root, tmp_path / "w")
    place = Workspace(tmp_path / "w")
    before = seen(place, LAST, "all")
    day = FIRST + timedelta(days=20)
    write_day(place, day, [(*row[:-2], "changed", row[-1]) for row in told(20)], marked=True)
    after = seen(place, LAST, "all")
    assert_same(after, without_index(place, LAST, "all", monkeypatch))
    assert not after[2].equals(before[2])


def test_a_new_date_is_read_beside_the_index_which_is_made_anew_in_time(tmp_path, monkeypatch):
    place = Workspace(tmp_path)
    write(place, range(90))
    assert_same(seen(place, LAST, "all"), without_index(place, LAST, "all", monkeypatch))
    (first,) = (place.indexes / "stays").glob("*.parquet")
    assert first.name.startswith("70-")
    write(place, range(90, DATES))
    assert_same(seen(place, LAST, "all"), without_index(place, LAST, "all", monkeypatch))
    assert [path.name for path in (place.indexes / "stays").glob("*.parquet")] == [first.name]
    for more in (160, 260):
        write(place, range(DATES, more))
        night = FIRST + timedelta(days=more - 1)
        assert_same(seen(place, night, "all"), without_index(place, night, "all", monkeypatch))
    assert len(list((place.indexes / "stays").glob("*.parquet"))) == 2


def test_a_file_of_the_same_size_is_another_one_once_it_was_written_again(tmp_path):
    write_day(Workspace(tmp_path), FIRST, told(5), marked=True)
    path = partition_file(Workspace(tmp_path).admitted("stays"), FIRST)
    before = partition_identity(path)
    assert partition_identity(path) == before
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert partition_identity(path) != before


def test_few_dates_have_no_index(tmp_path):
    place = Workspace(tmp_path)
    write(place, range(40))
    rows = dated_rows(place, "stays", partitions_until(place.admitted("stays"), LAST), 1.0)
    assert len(rows.parameters["paths"]) == 40
    assert not place.indexes.exists()


def test_counted_rows_are_those_of_the_files(lake, tmp_path):
    shutil.copytree(lake.root, tmp_path / "w")
    place = Workspace(tmp_path / "w")
    paths = partitions_until(place.admitted("stays"), LAST)
    expected = sum(row_count(path) for path in paths)
    assert [rows_of(place, "stays", paths) for _ in range(2)] == [expected, expected]
    index = place.indexes / "stays" / "rows.json"
    assert index.is_file()
    write_day(place, FIRST, [], marked=True)
    assert rows_of(place, "stays", paths) == expected - len(told(0))
    for broken in ("{", "[]"):
        index.write_text(broken)
        assert rows_of(place, "stays", paths) == expected - len(told(0))
