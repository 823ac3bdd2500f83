"""Admitted observations as arrays, a row group at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.lake.file_order import file_places
from medlstm.lake.partitions import date_column
from medlstm.lake.schemas import RETRACTED

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class ObservationBatch:
    """Rows of one partition, by stay and time; `stays` and `variables` are the texts that the codes stand for.

    `dropped` rows of the file have no value or no time, and are not among them.
    """

    stay: np.ndarray
    stays: np.ndarray
    time: np.ndarray
    variable: np.ndarray
    variables: np.ndarray
    value: np.ndarray
    extract_date: str
    dropped: int


def observation_batches(partitions: list[Path]) -> Iterator[ObservationBatch]:
    """The rows of admitted partitions, a row group at a time, in the order in which they arrived."""
    for path in partitions:
        dated = date_column(path)
        day = dated.day.isoformat() if dated else ""
        with pq.ParquetFile(path, read_dictionary=["stay_id", "variable", "source_file"]) as file:
            names = ["stay_id", "observed_at", "variable", "value"]
            marked = RETRACTED in file.schema_arrow.names and _has_retractions(file)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[*names, RETRACTED] if marked else names)
                if table.num_rows:
                    yield _batch(table, file, group, day)


def _has_retractions(file: pq.ParquetFile) -> bool:
    column = file.schema_arrow.names.index(RETRACTED)
    groups = (file.metadata.row_group(group).column(column) for group in range(file.num_row_groups))
    return any(group.statistics is None or group.statistics.null_count < group.num_values for group in groups)


def _batch(table: pa.Table, file: pq.ParquetFile, group: int, day: str) -> ObservationBatch:
    stay, stays = _coded(table.column("stay_id"))
    variable, variables = _coded(table.column("variable"))
    time = table.column("observed_at").cast(pa.int64()).fill_null(_NEVER).to_numpy()
    value = table.column("value").to_numpy().astype(np.float32)
    # A value that is missing says nothing; NaN stands for a row that is taken back.
    kept = ~np.isnan(value) & (time != _NEVER)
    if RETRACTED in table.column_names:
        back = table.column(RETRACTED).fill_null(False).to_numpy()
        value = np.where(back, np.float32(np.nan), value)
        kept |= back & (time != _NEVER)
    dropped = len(kept) - int(np.count_nonzero(kept))
    batch = ObservationBatch(stay, stays, time, variable, variables, value, day, dropped)
    order = None if _is_sorted(batch) else _sorted_rows(batch, file, group)
    if order is None and not dropped:
        return batch
    rows = np.flatnonzero(kept) if order is None else order[kept[order]]
    return ObservationBatch(stay[rows], stays, time[rows], variable[rows], variables, value[rows], day, dropped)


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    one = column.unify_dictionaries().combine_chunks()
    array = one if isinstance(one, pa.DictionaryArray) else one.chunk(0)
    return array.indices.fill_null(-1).to_numpy(), np.asarray(array.dictionary.to_pylist(), dtype=object)


def _is_sorted(batch: ObservationBatch) -> bool:
    """Whether the times of each stay ascend, as the contracts write them."""
    same = batch.stay[1:] == batch.stay[:-1]
    seen_once = int((~same).sum()) + 1 == int((np.bincount(batch.stay + 1) > 0).sum())
    return seen_once and not (same & (batch.time[1:] < batch.time[:-1])).any()


def _sorted_rows(batch: ObservationBatch, file: pq.ParquetFile, group: int) -> np.ndarray:
    source = file.read_row_group(group, columns=["source_file", "source_row"])
    codes, names = _coded(source.column("source_file"))
    places = file_places(names)
    rank = np.array([*(places[name] for name in names), -1])
    return np.lexsort((source.column("source_row").to_numpy(), rank[codes], batch.time, batch.stay))
