from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

from medlstm import lake


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
