"""In which order the rows of a chunk are judged, and which of them are exact duplicates."""

import numpy as np
import pyarrow as pa

from medlstm.contracts.raw_chunks import text_names
from medlstm.contracts.text_column import Column, TextColumn
from medlstm.contracts.typed_columns import MISSING_TIME, Cast
from medlstm.lake.file_order import file_places

_LARGE = 1 << 31


def by_provenance(raw: pa.Table) -> pa.Table:
    """Rows by date, file and row: what comes first decides which of two equal rows stays."""
    day = raw.column("extract_date").chunk(0).cast(pa.int32()).to_numpy()
    file = _file_places(raw.column("source_file").chunk(0))
    row = raw.column("source_row").chunk(0).to_numpy()
    after = (day[1:] > day[:-1]) | (
        (day[1:] == day[:-1]) & ((file[1:] > file[:-1]) | ((file[1:] == file[:-1]) & (row[1:] >= row[:-1])))
    )
    if after.all():
        return raw
    taken = raw.take(pa.array(np.lexsort((row, file, day))))
    return taken.combine_chunks()


def _file_places(names: pa.DictionaryArray) -> np.ndarray:
    distinct = names.dictionary.to_pylist()
    places = file_places(distinct)
    return np.array([*(places[name] for name in distinct), -1])[names.indices.fill_null(-1).to_numpy()]


def key_order(typed: Cast, keys: tuple[str, ...], raw: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The rows sorted by date and keys, stable; and for each sorted row whether its keys equal those before it."""
    day = raw.column("extract_date").chunk(0).cast(pa.int32()).to_numpy().astype(np.int64)
    parts = [day, *(_sortable(typed.columns[key]) for key in keys)]
    packed = _packed(parts)
    order = np.lexsort(parts[::-1]) if packed is None else np.argsort(packed, kind="stable")
    same = np.ones(len(order), dtype=bool)
    same[:1] = False
    for part in parts if packed is None else [packed]:
        ordered = part[order]
        same[1:] &= ordered[1:] == ordered[:-1]
    return order, same


def _sortable(column: Column) -> np.ndarray:
    return column.ranks() if isinstance(column, TextColumn) else column


def _packed(parts: list[np.ndarray]) -> np.ndarray | None:
    """The keys as one integer a row where they fit into 63 bits, which sorts twice as fast as several."""
    packed, bits = np.zeros(len(parts[0]), dtype=np.int64), 0
    for part in parts:
        values = _dense(part)
        width = int(values.max(initial=0)).bit_length()
        bits += width
        if bits > 62:
            return None
        packed = (packed << width) | values
    return packed


def _dense(part: np.ndarray) -> np.ndarray:
    """Non-negative integers in the same order; missing times come first, whole seconds are counted as seconds."""
    missing = part == MISSING_TIME
    present = part[~missing]
    if not len(present):
        return np.zeros(len(part), dtype=np.int64)
    shifted = part - int(present.min())
    shifted[missing] = 0
    if shifted.max(initial=0) > _LARGE:
        for unit in (60_000_000, 1_000_000, 1_000):
            # The first thousand rows tell in nearly every case that a unit does not fit.
            if not (shifted[:1000] % unit).any() and not (shifted % unit).any():
                shifted //= unit
                break
    shifted += 1
    shifted[missing] = 0
    return shifted


def find_duplicates(raw: pa.Table, order: np.ndarray, same_key: np.ndarray) -> np.ndarray:
    """For each row in `order` whether an earlier one has the very same text in every column."""
    duplicate = np.zeros(len(order), dtype=bool)
    following = np.append(same_key[1:], False)
    candidates = np.flatnonzero(same_key | following)
    if not len(candidates):
        return duplicate
    rows = order[candidates]
    group = np.cumsum(~same_key)[candidates]
    texts = [raw.column(name).chunk(0) for name in text_names(raw)]
    codes = [text.indices.fill_null(-1).to_numpy()[rows] for text in texts if text.null_count < len(text)]
    first = np.lexsort((rows, *codes, group))
    repeated = np.ones(len(rows), dtype=bool)
    repeated[:1] = False
    for column in (group, *codes):
        ordered = column[first]
        repeated[1:] &= ordered[1:] == ordered[:-1]
    duplicate[candidates[first[repeated]]] = True
    return duplicate


def contradicting(told: list[Column], group: np.ndarray, rows: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """For each of `rows`, which lie sorted by their key's `group`, whether one before it of the same key says something
    else, as far as both are `judged`; bool [rows]."""
    place = np.flatnonzero(judged)
    same_key = group[place][1:] == group[place][:-1]
    found = np.zeros(len(rows), dtype=bool)
    if not same_key.any():
        return found
    later = place[1:][same_key]
    this, before = rows[later], rows[place[:-1][same_key]]
    for column in told:
        values = column.codes if isinstance(column, TextColumn) else column
        differs = values[this] != values[before]
        if values.dtype == np.float64:
            differs &= ~(np.isnan(values[this]) & np.isnan(values[before]))
        found[later] |= differs
    return found
