"""The rows of a MEDS shard as arrays, whole subjects at a time, whatever type its times have."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medlstm.settings.source import MedsSource
from medlstm.sources.source_batch import BATCH_ROWS
from medlstm.values.identifiers import identifier_text
from medlstm.values.text_columns import UnfitFileError, as_text, require

NO_TIME = np.iinfo(np.int64).min
SETTING = "is it a MEDS dataset?"
_EXACT_IN_FLOAT = 2**53
# A number as a laboratory writes it, its comparator included; the contract judges whether it can be read.
_NUMBER = r"^\s*[<>=~≤≥]*\s*[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?\s*$"


@dataclass(frozen=True)
class Events:
    """Rows of whole subjects, sorted by subject and time: arrays [n]. `code` indexes `codes`, -1 where there is none;
    `time` in microseconds, NO_TIME where there is none, of UTC where `zoned` and else of local time; `number` and
    `words` (Arrow) are the two values as text; `stay` is the stay column, if there is one; `row` from 1."""

    subject: np.ndarray
    time: np.ndarray
    zoned: bool
    code: np.ndarray
    codes: list[str]
    number: pa.Array
    words: pa.Array
    stay: np.ndarray | None
    row: np.ndarray

    def time_texts(self, moments: np.ndarray) -> pa.Array:
        """Microseconds of this shard's clock as ISO 8601 text, null for NO_TIME. The text of a moment, from which its
        stay has its name, does not hang on other moments: whole seconds have no fraction."""
        times = pa.array(moments, pa.int64(), mask=moments == NO_TIME).cast(pa.timestamp("us"))
        format = "%Y-%m-%dT%H:%M:%SZ" if self.zoned else "%Y-%m-%dT%H:%M:%S"
        if (moments[moments != NO_TIME] % 1_000_000).any():
            return pc.replace_substring(pc.strftime(times, format=format), ".000000", "")
        return pc.strftime(times.cast(pa.timestamp("s"), safe=False), format=format)

    def measured(self) -> pa.Array:
        """The number of each row as text: numeric_value, else a text_value that is written as a number; else null."""
        written = pc.if_else(pc.match_substring_regex(self.words, _NUMBER), self.words, None)
        return pc.coalesce(self.number, written)


def whole_subjects(path: Path, source: MedsSource) -> Iterator[Events]:
    """Batches that end where a subject ends. Raises UnfitFileError when a subject comes back later."""
    with pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        names = ["subject_id", "time", "code"]
        names += [name for name in ("numeric_value", "text_value") if name in header]
        names += [source.stay_column] if source.stay_column and source.stay_column not in names else []
        for name in names:
            require(name, header, "stay_column in [source]" if name == source.stay_column else SETTING)
        done: list[np.ndarray] = []
        held: pa.Table | None = None
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            table = pa.Table.from_batches([batch]).append_column("row", pa.array(np.arange(batch.num_rows) + read + 1))
            read += batch.num_rows
            table = table if held is None else pa.concat_tables([held, table], promote_options="default")
            last = table.column("subject_id").to_numpy()
            ends = np.flatnonzero(last[1:] != last[:-1])
            cut = int(ends[-1]) + 1 if len(ends) else 0
            held = table.slice(cut)
            if cut:
                yield _events(table.slice(0, cut), source, done)
        if held is not None and held.num_rows:
            yield _events(held, source, done)


def _events(table: pa.Table, source: MedsSource, done: list[np.ndarray]) -> Events:
    subject = _subjects(table.column("subject_id"))
    runs = 1 + int((subject[1:] != subject[:-1]).sum()) if len(subject) else 0
    distinct = np.unique(subject)
    if runs != len(distinct) or any(len(np.intersect1d(distinct, one, assume_unique=True)) for one in done):
        raise UnfitFileError("a subject's rows do not lie together, as MEDS wants them; sort the file by subject_id")
    done.append(distinct)
    time, zoned = _moments(table.column("time"))
    order = np.lexsort((table.column("row").to_numpy(), time, subject))
    sorted_rows = table.take(pa.array(order))
    encoded = pc.dictionary_encode(sorted_rows.column("code").cast(pa.string())).combine_chunks()
    stay = None
    if source.stay_column:
        stay = identifier_text(sorted_rows.column(source.stay_column), source.stay_column).to_pandas().to_numpy(object)
    return Events(
        subject[order], time[order], zoned, encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist(),
        _numbers(sorted_rows), _words(sorted_rows), stay, sorted_rows.column("row").to_numpy(),
    )  # fmt: skip


def _subjects(column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count:
        raise UnfitFileError("a row has no subject_id, which MEDS does not allow; correct the export")
    if pa.types.is_floating(column.type) and pc.any(pc.greater(pc.abs(column), _EXACT_IN_FLOAT)).as_py():
        raise UnfitFileError("subject_id is a float beyond 2^53, where neighbours are one number; export it as int64")
    return column.cast(pa.int64()).to_numpy()


def _moments(column: pa.ChunkedArray) -> tuple[np.ndarray, bool]:
    """Microseconds, NO_TIME where there is none, and whether they are UTC. Finer parts of a second are cut off."""
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_null(kind):
        column, kind = column.cast(pa.timestamp("us")), pa.timestamp("us")
    if not pa.types.is_timestamp(kind):
        raise UnfitFileError(f"time is {kind} and no timestamp; export it as timestamp[us], or with its zone")
    zone = "UTC" if kind.tz else None
    if kind.unit == "ns":
        # A cast would round times before 1970 up.
        column = pc.floor_temporal(column.cast(pa.timestamp("ns", tz=zone)), unit="microsecond")
    moments = column.cast(pa.timestamp("us", tz=zone)).cast(pa.int64())
    return pc.fill_null(moments, NO_TIME).to_numpy(), zone is not None


def _numbers(rows: pa.Table) -> pa.Array:
    """numeric_value as text, null where it is missing or not a number."""
    if "numeric_value" not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    value = rows.column("numeric_value").combine_chunks()
    if pa.types.is_floating(value.type):
        value = pc.if_else(pc.is_nan(value), None, value)
    return as_text(value).cast(pa.string())


def _words(rows: pa.Table) -> pa.Array:
    """text_value, null where it is missing or blank."""
    if "text_value" not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    words = rows.column("text_value").cast(pa.string()).combine_chunks()
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(words), ""), None, words)
