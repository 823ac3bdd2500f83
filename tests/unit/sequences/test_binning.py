"""The one-pass binning against a plain reading of its rule, over many small lakes."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlstm.lake.files import write_table
from medlstm.sequences.arrivals import Nights, StayAxis, event_time_arrivals
from medlstm.sequences.binning import bin_observations
from medlstm.sequences.row_ledger import RowCounts
from medlstm.sequences.row_places import BinningPlan

HOUR_US = 3_600_000_000
START_US = np.array([0, 10 * HOUR_US, 0])
END_US = np.array([6 * HOUR_US, 14 * HOUR_US, 1 * HOUR_US])
# One night, long after all that is told.
NIGHTS = Nights(date(1970, 2, 1), np.array([31 * 24 * HOUR_US]))
PLAN = BinningPlan(
    stay_ids=np.array(["a", "b", "c"], dtype=object),
    end_us=END_US,
    is_open=np.array([True, False, False]),
    first_bin=np.array([0, 1, 0]),
    steps=np.array([3, 1, 1]),
    variables=("hr", "temp"),
    arrivals=event_time_arrivals(StayAxis(START_US, bin_hours=2), NIGHTS, END_US),
)
GROUPS = [np.array([0, 2]), np.array([1])]

_rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "ghost"]),
        st.integers(-1, 32),
        st.sampled_from(["hr", "temp", "other"]),
        st.one_of(st.integers(0, 9), st.none()),
        st.sampled_from([None, None, False, True]),
    ),
    max_size=30,
)


def _write(folder, number, rows):
    schema = pa.schema(
        [("stay_id", pa.string()), ("observed_at", pa.timestamp("us", tz="UTC")), ("variable", pa.string()),
         ("value", pa.float64()), ("retracted", pa.bool_()), ("source_file", pa.string()), ("source_row", pa.int64())]
    )  # fmt: skip
    records = [
        {"stay_id": stay, "observed_at": half * HOUR_US // 2, "variable": variable, "value": value, "retracted": back,
         "source_file": "f", "source_row": index}
        for index, (stay, half, variable, value, back) in enumerate(rows)
    ]  # fmt: skip
    path = folder / f"{number}.parquet"
    write_table(pa.Table.from_pylist(records, schema=schema), path)
    return path


def _expected(partitions):
    """The newest version of each key, then the last of each cell."""
    newest = {}
    for rows in partitions:
        for stay, half, variable, value, back in rows:
            if value is not None or back:
                newest[(stay, half, variable)] = None if back else value
    cells = {}
    for (stay, half, variable), value in sorted(newest.items(), key=lambda item: item[0][1]):
        if stay == "ghost" or variable == "other" or value is None:
            continue
        index = list(PLAN.stay_ids).index(stay)
        at = half * HOUR_US // 2
        step = (at - PLAN.start_us[index]) // (2 * HOUR_US) - PLAN.first_bin[index]
        if PLAN.start_us[index] <= at < PLAN.end_us[index] and 0 <= step < PLAN.steps[index]:
            cells[(stay, int(step), variable)] = value
    return cells


def _found(paths, memory_bytes, folder):
    cells, stays = {}, []
    for binned in bin_observations(paths, PLAN, GROUPS, memory_bytes, folder, RowCounts()):
        stays += binned.stay.tolist()
        for column, variable in enumerate(PLAN.variables):
            for stay, step, value in zip(binned.stay, binned.step, binned.values[column], strict=True):
                if not np.isnan(value):
                    cells[(PLAN.stay_ids[stay], int(step), variable)] = value
        assert not np.isnan(binned.values).all(axis=0).any()
    order = [list(np.concatenate(GROUPS)).index(stay) for stay in stays]
    assert order == sorted(order)
    return cells


@settings(max_examples=60, deadline=None)
@given(st.lists(_rows, max_size=3), st.sampled_from([1, 200, 10**6]))
def test_each_cell_has_the_last_value_of_the_newest_versions_whatever_memory_there_is(partitions, memory_bytes):
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = [_write(folder, number, rows) for number, rows in enumerate(partitions)]
        assert _found(paths, memory_bytes, folder / "scratch") == _expected(partitions)
        assert not list((folder / "scratch").glob("*"))


def test_a_failure_in_a_partition_is_raised_where_the_rows_are_used(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(pa.ArrowInvalid):
        list(bin_observations([tmp_path / "broken.parquet"], PLAN, GROUPS, 10**6, tmp_path, RowCounts()))
