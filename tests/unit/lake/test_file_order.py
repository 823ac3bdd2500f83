import duckdb
import pytest

from medlstm.lake.file_order import file_order, with_file_place

IN_ORDER = [
    "2026-03-27/stays_20.csv",
    "10_stays.csv",
    "labs/part-9.csv",
    "labs/part-10.csv",
    "stays.csv.gz",
    "stays (1).csv",
    "stays-2.csv",
    "stays_9.CSV",
    "Stays_10.csv.GZ",
    "stays_20260328_9.parquet",
    "stays_20260328_010.jsonl",
    "stays_v1.9.csv",
    "stays_v1.10.csv",
]


def test_later_files_come_last_by_numbers_as_numbers():
    assert sorted({*IN_ORDER}, key=file_order) == IN_ORDER


@pytest.mark.parametrize("names", [IN_ORDER, ["a1", "a01", "A1.csv", "a1.csv.gz", "b", "é2", "é10", "x_" + "9" * 23]])
def test_the_database_has_the_same_order(names):
    with duckdb.connect() as database:
        database.execute("create table rows as select unnest($names) as source_file, 1 as source_row", {"names": names})
        found = database.execute(f"from ({with_file_place('from rows')}) order by file_place").fetchall()
    assert [row[0] for row in found] == sorted(names, key=file_order)
