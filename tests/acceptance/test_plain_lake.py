"""Each table's folder is read by pandas, Polars, DuckDB and pyarrow as it stands, and the date is a date."""

import re
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from medlstm.contracts.admission_times import admissions_of
from medlstm.contracts.quarantine import list_quarantine
from medlstm.lake.files import Workspace, partition_dates, partition_file, read_table
from medlstm.lake.schemas import OBSERVATIONS_SCHEMA, PREDICTIONS_SCHEMA, stays_schema
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import load_config
from medlstm.upkeep.inspection import diff_extracts, list_lake, verify_lake
from tests.unit.small_hospital import DAYS, NIGHTS, lake_files, run_nights, write_landing

TABLES = ("stays", "observations", "predictions", "raw/stays", "raw/observations", "quarantine/stays",
          "quarantine/observations", "quarantine/files")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("hospital")
    write_landing(root)
    return run_nights(root)


def _key(table):
    return "as_of" if table == "predictions" else "extract_date"


def _by_pandas(folder, key):
    frame = pd.read_parquet(folder)
    assert all(isinstance(day, date) and not isinstance(day, pd.Timestamp) for day in frame[key])
    return pa.Table.from_pandas(frame, preserve_index=False)


def _by_polars(folder, key):
    return pl.read_parquet(folder).to_arrow()


def _by_polars_scan(folder, key):
    scan = pl.scan_parquet(folder)
    assert scan.collect_schema()[key] == pl.Date
    assert scan.filter(pl.col(key) == DAYS[-1]).collect().height < scan.collect().height
    return scan.collect().to_arrow()


def _by_duckdb(folder, key):
    with duckdb.connect() as database:
        query = f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        return database.sql(query).to_arrow_table()


def _by_pyarrow(folder, key):
    partitioning = ds.partitioning(pa.schema([(key, pa.date32())]), flavor="hive")
    return ds.dataset(folder, partitioning=partitioning).to_table()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("read", [_by_pandas, _by_polars, _by_polars_scan, _by_duckdb, _by_pyarrow])
def test_a_tables_folder_is_one_table_and_its_date_a_date(place, read, table):
    folder, key = place.root / "lake" / table, _key(table)
    expected = _expected(folder, key)
    assert expected.num_rows
    if table != "quarantine/files":
        assert len(set(expected.column(key).to_pylist())) >= 2
    found = read(folder, key)
    assert sorted(found.column_names) == sorted(expected.column_names)
    assert found.schema.field(key).type == pa.date32()
    assert _rows(found) == _rows(expected)
    texts = [field.name for field in expected.schema if pa.types.is_string(field.type)]
    assert all(_is_text(found.schema.field(name).type) for name in texts)


@cache
def _expected(folder, key):
    return pa.concat_tables(read_table(partition_file(folder, day, key)) for day in partition_dates(folder))


def _is_text(kind):
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _rows(table):
    """Rows as text in any order: readers differ in how they say that a number is missing, and in a moment's zone."""
    rows = table.select(sorted(table.column_names)).to_pylist()
    return sorted(str([_plain(value) for value in row.values()]) for row in rows)


def _plain(value):
    if isinstance(value, list):
        return [sorted(one.items()) for one in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return None if value is pd.NA or value != value else value


def test_the_documents_examples_read_the_lake(place, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "lake_and_contracts.md").read_text(encoding="utf-8")
    monkeypatch.chdir(place.root)
    found = {}
    for library, rest in re.findall(r"```python\nimport (\w+)(.*?)```", text, flags=re.DOTALL):
        found[library] = {}
        exec(f"import {library}{rest}", found[library])
    assert set(found) == {"pandas", "polars", "duckdb", "pyarrow"}
    rows = {one.table: 0 for one in list_lake(place)}
    for one in list_lake(place):
        rows[one.table] += one.rows if one.layer in ("admitted", "predictions") else 0
    assert len(found["pandas"]["predictions"]) == rows["predictions"]
    assert len(found["polars"]["stays"]) == len(found["pyarrow"]["stays"]) == rows["stays"]
    assert len(found["duckdb"]["labs"]) == rows["observations"]
    some = pd.read_parquet("lake/predictions", filters=[("as_of", "==", str(NIGHTS[0]))])
    assert 0 < len(some) < rows["predictions"]


def test_the_files_hold_no_date_and_all_other_code_sees_it_where_it_belongs(place):
    for folder, day, key, schema in (
        (place.admitted("observations"), DAYS[0], "extract_date", OBSERVATIONS_SCHEMA),
        (place.predictions, NIGHTS[0], "as_of", PREDICTIONS_SCHEMA),
    ):
        path = partition_file(folder, day, key)
        assert key not in pq.read_schema(path).names
        table = read_table(path)
        assert table.column_names[: len(schema)] == schema.names
        assert table.schema.field(key).type == pa.date32()
        assert set(table.column(key).to_pylist()) == {day}
        assert table.schema.metadata is None


@pytest.mark.parametrize("above", ["extract_date=1999-01-01/ward=attic", "stay_id=x/rule=y/admitted_at=z"])
def test_folders_above_a_workspace_that_look_like_partitions_change_nothing(place, tmp_path, above):
    root = tmp_path / above / "w"
    write_landing(root)
    below, config = run_nights(root), load_config(root)
    assert _without_times(lake_files(root)) == _without_times(lake_files(place.root))
    pd.testing.assert_frame_equal(_cohort(below), _cohort(place))
    assert list_quarantine(below) == list_quarantine(place)
    diffs = [diff_extracts(one, "stays", *NIGHTS, config) for one in (below, place)]
    assert diffs[0] == diffs[1]
    stays = read_table(partition_file(below.admitted("stays"), DAYS[0])).column("stay_id").to_pandas().unique()
    known = [admissions_of(one, DAYS[3], config)(stays).tolist() for one in (below, place)]
    assert known[0] == known[1]
    assert verify_lake(below, config).problems == ()


def _cohort(place: Workspace):
    config = load_config(place.root)
    frame = load_cohort(place, NIGHTS[-1], config).frame
    stays = stays_schema(config.features.numeric, config.features.categorical)
    assert list(frame.columns[: len(stays)]) == stays.names
    assert set(pd.to_datetime(frame["extract_date"]).dt.date) <= set(DAYS)
    return frame


def _without_times(files):
    """Without the records of the deliveries, which tell when the landing files changed."""
    return {name: content for name, content in files.items() if not name.startswith("lake/deliveries/")}
