"""Raw partitions as chunks of bounded size, in the order in which they will be admitted."""

import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.lake.dictionary_encoding import joined, pruned
from medlstm.lake.schemas import PROVENANCE
from medlstm.values.parsing import parse_text

_BATCH_ROWS = 262_144
_NOT_TEXT = ("extract_date", "source_row")
_ALWAYS = ("source_file", "source_row", "stay_id", "patient_id")


@dataclass(frozen=True)
class RawPartition:
    """One date's raw rows of a table."""

    extract_date: date
    path: Path

    def rows(self) -> int:
        return int(pq.read_metadata(self.path).num_rows)


def raw_chunks(
    partitions: list[RawPartition], rows_per_chunk: int, scratch: Path, held_bytes: int = 0
) -> Iterator[pa.Table]:
    """Tables of about `rows_per_chunk` raw rows, each column one chunk, text as dictionaries.

    Small dates share a chunk. A larger date is split by ranges of its stay_id, in ascending order: in memory where it
    takes no more than `held_bytes`, else over temporary files below `scratch` that have no name, so that no crash
    leaves them behind. A stay is never split.
    """
    gathered: list[pa.Table] = []
    rows = 0
    for partition in partitions:
        size = partition.rows()
        if gathered and rows + size > rows_per_chunk:
            yield joined(gathered)
            gathered, rows = [], 0
        if size > rows_per_chunk:
            if _bytes_in_memory(partition) <= held_bytes:
                yield from _split_held(partition, rows_per_chunk)
            else:
                yield from _split_spilled(partition, rows_per_chunk, scratch)
            continue
        gathered += _batches(partition)
        rows += size
    if gathered:
        yield joined(gathered)


def _batches(partition: RawPartition) -> Iterator[pa.Table]:
    """Batches of the columns that have a value at all, and the date."""
    with _opened(partition) as file:
        names = _filled(file.metadata)
        if file.metadata.num_rows <= _BATCH_ROWS:
            yield _dated(file.read(columns=names, use_threads=False), partition)
            return
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            yield _dated(pa.table(batch), partition)


def _dated(rows: pa.Table, partition: RawPartition) -> pa.Table:
    days = pa.repeat(pa.scalar(partition.extract_date, pa.date32()), rows.num_rows)
    # Without the file's metadata: it is about the whole file.
    return rows.replace_schema_metadata(None).append_column("extract_date", days)


def _opened(partition: RawPartition) -> pq.ParquetFile:
    metadata = pq.read_metadata(partition.path)
    texts = [name for name in _filled(metadata) if name not in _NOT_TEXT]
    return pq.ParquetFile(partition.path, metadata=metadata, read_dictionary=texts)


def _filled(metadata: pq.FileMetaData) -> list[str]:
    """All but the date, which the partition tells."""
    filled = (name for name in metadata.schema.names if name in _ALWAYS or has_values(metadata, name))
    return [name for name in filled if name != "extract_date"]


def has_values(metadata: pq.FileMetaData, column: str) -> bool:
    """Whether a Parquet file has the column and, as far as its footer tells, a value in it."""
    if column not in metadata.schema.names:
        return False
    place = metadata.schema.names.index(column)
    chunks = (metadata.row_group(group).column(place) for group in range(metadata.num_row_groups))
    return any(one.statistics is None or one.statistics.null_count < one.num_values for one in chunks)


def _bytes_in_memory(partition: RawPartition) -> int:
    """At most: four bytes for each text of a row, the texts themselves, and where the row came from."""
    metadata = pq.read_metadata(partition.path)
    texts = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return int(metadata.num_rows * (4 * len(_filled(metadata)) + 12) + texts)


def _split_held(partition: RawPartition, rows_per_chunk: int) -> Iterator[pa.Table]:
    """Each range as soon as its last row has been read, which is early where the rows are in the order of stays."""
    counts = _stay_counts(partition)
    range_of = _stay_ranges(counts, rows_per_chunk)
    awaited = Counter[int]()
    for stay, part in range_of.items():
        awaited[part] += counts[stay]
    waiting = deque(sorted(awaited))
    held: dict[int, list[pa.Table]] = {part: [] for part in waiting}
    for batch in _batches(partition):
        for part, chosen in _by_range(batch, range_of):
            held[part].append(batch.take(pa.array(chosen)))
            awaited[part] -= len(chosen)
        while waiting and not awaited[waiting[0]]:
            yield pruned(joined(held.pop(waiting.popleft())))


def _split_spilled(partition: RawPartition, rows_per_chunk: int, scratch: Path) -> Iterator[pa.Table]:
    range_of = _stay_ranges(_stay_counts(partition), rows_per_chunk)
    scratch.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        spills: dict[int, IO[bytes]] = {}
        writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for batch in _batches(partition):
            plain = _plain(batch)
            for part, chosen in _by_range(batch, range_of):
                if part not in writers:
                    spills[part] = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
                    writers[part] = pa.ipc.new_stream(pa.PythonFile(spills[part], "w"), plain.schema)
                writers[part].write_table(plain.take(pa.array(chosen)))
        for part in sorted(writers):
            writers[part].close()
            spills[part].seek(0)
            with pa.ipc.open_stream(pa.PythonFile(spills[part], "r")) as reader:
                yield joined([_encoded(reader.read_all())])
            spills[part].close()


def _stay_counts(partition: RawPartition) -> dict[str | None, int]:
    """The rows of each stay_id as received."""
    counts: dict[str | None, int] = {}
    with pq.ParquetFile(partition.path, read_dictionary=["stay_id"]) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=["stay_id"]):
            stay = batch.column(0)
            rows = np.bincount(stay.indices.fill_null(len(stay.dictionary)).to_numpy())
            for name, count in zip([*stay.dictionary.to_pylist(), None], rows.tolist(), strict=False):
                counts[name] = counts.get(name, 0) + count
    return counts


def _stay_ranges(counts: dict[str | None, int], rows_per_chunk: int) -> dict[str | None, int]:
    """The range of each stay_id as received; stays that differ in surrounding blanks alone share one."""
    received = list(counts)
    stripped = parse_text(pa.array(received, pa.string()).to_pandas().astype("str"))
    order = np.argsort(stripped.fillna("").to_numpy(dtype=object), kind="stable")
    filled = np.cumsum([counts[received[index]] for index in order])
    names = stripped.fillna("").to_numpy(dtype=object)[order]
    ranges: dict[str | None, int] = {}
    for place, index in enumerate(order):
        same = place > 0 and names[place] == names[place - 1]
        ranges[received[index]] = ranges[received[order[place - 1]]] if same else int(filled[place] // rows_per_chunk)
    return ranges


def _by_range(batch: pa.Table, range_of: dict[str | None, int]) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of each range, ranges ascending, rows in their order."""
    stay = joined([batch.select(["stay_id"])]).column(0).chunk(0)
    lookup = np.array([range_of.get(text, 0) for text in [*stay.dictionary.to_pylist(), None]], dtype=np.int32)
    parts = lookup[stay.indices.fill_null(-1).to_numpy()]
    for part in sorted(set(lookup.tolist())):
        chosen = np.flatnonzero(parts == part)
        if len(chosen):
            yield part, chosen


def _plain(table: pa.Table) -> pa.Table:
    fields = [field if field.name in _NOT_TEXT else field.with_type(pa.string()) for field in table.schema]
    return table.cast(pa.schema(fields))


def _encoded(table: pa.Table) -> pa.Table:
    columns = [column if name in _NOT_TEXT else column.dictionary_encode()
               for name, column in zip(table.column_names, table.columns, strict=True)]  # fmt: skip
    return pa.table(columns, names=table.column_names)


def text_names(raw: pa.Table) -> list[str]:
    """The columns that the source filled: all but where a row came from."""
    return [name for name in raw.column_names if name not in {field.name for field in PROVENANCE}]
