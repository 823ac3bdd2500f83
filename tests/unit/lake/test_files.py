from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlstm.errors import MedlstmError
from medlstm.lake import files as lake

DAY = date(2026, 1, 2)


def test_partition_is_plain_parquet_and_rewritten_with_equal_bytes(tmp_path):
    path = lake.partition_file(tmp_path / "stays", date(2026, 1, 2))
    table = pa.table({"stay_id": ["a", "b"]})
    lake.write_table(table, path)
    first = path.read_bytes()
    lake.write_table(table, path)
    assert path.read_bytes() == first
    assert list(pd.read_parquet(tmp_path / "stays")["stay_id"]) == ["a", "b"]


def test_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "note.txt"
    lake.write_text("old", path)
    with pytest.raises(UnicodeEncodeError):
        lake.write_text("\udc80", path)
    with pytest.raises(TypeError):
        lake.write_bytes("not bytes", path)
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["note.txt"]


def test_partitions_until_leaves_out_later_dates(tmp_path):
    for day in (date(2026, 1, 3), date(2026, 1, 1), date(2026, 1, 2)):
        lake.write_table(pa.table({"x": [1]}), lake.partition_file(tmp_path, day))
    assert lake.partition_dates(tmp_path) == [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    assert len(lake.partitions_until(tmp_path, date(2026, 1, 2))) == 2


@pytest.fixture(params=["at once", "row by row"])
def write(request):
    def staged(table, path):
        with lake.StagedTables() as tables:
            tables.open(path, table.schema)
            tables.write(path, table)
            tables.commit([path])

    return lake.write_table if request.param == "at once" else staged


def test_a_partitions_date_is_off_the_file_and_back_in_its_place_when_it_is_read(tmp_path, write):
    path, day = lake.partition_file(tmp_path, DAY), pa.array([DAY, DAY], pa.date32())
    table = pa.table({"stay_id": ["a", "b"], "extract_date": day, "source_row": [1, 2]})
    write(table, path)
    assert pq.read_schema(path).names == ["stay_id", "source_row"]
    found = lake.read_table(path)
    assert found.equals(table)
    assert found.schema.metadata is None
    assert lake.table_schema(path).equals(table.schema)
    # The date of another folder's name is a column like any other, and so is any in a file that is no partition.
    for other in (lake.partition_file(tmp_path, DAY, key="as_of"), path.with_name("stays-00000.parquet")):
        write(table, other)
        assert "extract_date" in pq.read_schema(other).names
        assert lake.read_table(other).column_names[:3] == table.column_names


def test_rows_of_another_date_are_refused_and_leave_nothing(tmp_path, write):
    path = lake.partition_file(tmp_path, DAY)
    for days in ([DAY, date(2026, 1, 3)], [DAY, None]):
        table = pa.table({"stay_id": ["a", "b"], "extract_date": pa.array(days, pa.date32())})
        with pytest.raises(MedlstmError, match=r"part-0\.parquet: rows whose extract_date is not 2026-01-02"):
            write(table, path)
        assert not list(tmp_path.rglob("*.*"))


def test_an_empty_partition_has_its_date_column_too(tmp_path, write):
    path = lake.partition_file(tmp_path, DAY, key="as_of")
    table = pa.table({"as_of": pa.array([], pa.date32()), "x": pa.array([], pa.int64())})
    write(table, path)
    assert lake.read_table(path).equals(table)
    assert list(pd.read_parquet(tmp_path).columns) == ["x", "as_of"]
