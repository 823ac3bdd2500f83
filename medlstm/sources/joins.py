"""Columns of one file looked up for the rows of another, by equal keys and, where wanted, by time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.settings.source import JoinSection, TableMapping
from medlstm.sources.mapping import Received, is_one_of, named_columns
from medlstm.sources.times import iso_times
from medlstm.values.days import is_day, last_instants
from medlstm.values.missing_texts import without_null_texts
from medlstm.values.parsing import parse_timestamps
from medlstm.values.text_columns import UnfitFileError, missing_column

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Lookup:
    """The joined files' rows: `columns` text [n]; `keys` [n] one text per row; rows sorted by key and start.

    `all_keys`: those of the rows that the join does not keep, too.
    """

    join: JoinSection
    columns: pa.Table
    keys: pd.Index
    starts: np.ndarray
    stops: np.ndarray
    all_keys: pd.Index


@dataclass(frozen=True)
class Joined:
    """Rows with the joined columns; `found` [n]: a row was joined; `not_kept` [n]: none was, because the join keeps
    none of those that there are."""

    rows: Received
    found: np.ndarray
    not_kept: np.ndarray


def joined_columns(mapping: TableMapping, join: JoinSection) -> set[str]:
    """The columns of the joined file that the mapping uses, the keys included."""
    prefix = f"{join.name}."
    used = {name.removeprefix(prefix) for name in named_columns(mapping) if name.startswith(prefix)}
    times = {join.between.start, join.between.stop} if join.between else {join.newest_by} if join.newest_by else set()
    return used | set(join.on.values()) | set(join.keep) | set(join.key) | times


def make_lookup(
    join: JoinSection, wanted: set[str], tables: Iterable[pa.Table], mapping: TableMapping, timezone: str
) -> Lookup:
    """Of the joined files' rows (text) the last or newest one of each key, or with `between` every interval."""
    empty = pa.table({name: pa.array([], pa.string()) for name in sorted(wanted)})
    columns = pa.concat_tables([empty, *(table.select(sorted(wanted)).cast(empty.schema) for table in tables)])
    all_keys = pd.Index(_keys(columns, list(join.on.values()), mapping).dropna().unique())
    for name, texts in join.keep.items():
        columns = columns.filter(is_one_of(columns.column(name), texts))
    columns = columns.combine_chunks()
    if join.newest_by:
        moments, _ = _times(columns.column(join.newest_by), mapping, timezone, -_NEVER)
        columns = columns.take(pa.array(np.argsort(moments, kind="stable")))
    keys = _keys(columns, list(join.on.values()), mapping)
    starts, stops = np.zeros(len(keys), np.int64), np.full(len(keys), _NEVER)
    kept = keys.notna().to_numpy().copy()
    if join.between:
        starts, _ = _times(columns.column(join.between.start), mapping, timezone, -_NEVER)
        _, stops = _times(columns.column(join.between.stop), mapping, timezone, _NEVER)
        kept &= starts != -_NEVER
        order = np.lexsort((starts, pd.factorize(keys, sort=True)[0]))
        order = order[kept[order]]
    else:
        order = np.flatnonzero(kept & ~keys.duplicated(keep="last").to_numpy())
        order = order[np.argsort(keys.iloc[order].to_numpy(dtype=str), kind="stable")]
    return Lookup(join, columns.take(pa.array(order)), pd.Index(keys.iloc[order]), starts[order], stops[order],
                  all_keys)  # fmt: skip


def missing_joined(name: str, join: JoinSection, header: list[str]) -> UnfitFileError:
    """The error of a file that lacks a column of the join."""
    return missing_column(f"{name} (of the join {join.name})", header, "joins in [[source.files]]")


def with_joined(received: Received, lookup: Lookup, mapping: TableMapping, timezone: str) -> Joined:
    """The rows with the joined columns as `<name>.<column>`, null where none was found."""
    join = lookup.join
    for name in (*join.on, *([join.between.time] if join.between else [])):
        if name not in received.header:
            raise missing_joined(name, join, received.header)
    keys = _keys(received.columns, list(join.on), mapping)
    not_kept = np.full(len(keys), bool(join.keep)) & keys.isin(lookup.all_keys).to_numpy()
    if join.between:
        at, until = _times(received.columns.column(join.between.time), mapping, timezone, -_NEVER)
        found = _interval_of(keys, at, until, lookup)
        not_kept &= at != -_NEVER
    else:
        found = lookup.keys.get_indexer(pd.Index(keys))
        found[keys.isna().to_numpy()] = -1
    index = pa.array(found, mask=found < 0)
    columns = received.columns
    for name in lookup.columns.column_names:
        columns = columns.append_column(f"{join.name}.{name}", lookup.columns.column(name).take(index))
    header = [*received.header, *(f"{join.name}.{name}" for name in lookup.columns.column_names)]
    return Joined(replace(received, header=header, columns=columns), found >= 0, not_kept & (found < 0))


def _keys(columns: pa.Table, names: list[str], mapping: TableMapping) -> pd.Series:
    """One text per row; null where any part is missing or blank."""
    texts = (without_null_texts(columns.column(name), mapping.null_texts).cast(pa.string()) for name in names)
    parts = [pd.Series(one.to_pandas()).astype("str").str.strip() for one in texts]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + "\x1f" + part
    missing = np.logical_or.reduce([(part.isna() | (part == "")).to_numpy() for part in parts])
    return whole.mask(missing)


def _times(
    texts: pa.ChunkedArray, mapping: TableMapping, timezone: str, missing: int
) -> tuple[np.ndarray, np.ndarray]:
    """When each time begins and ends, which are one but for days: microseconds since 1970, `missing` where there is no
    readable time."""
    iso = iso_times(texts, mapping.time_formats, mapping.timezone).cast(pa.string()).to_pandas().astype("str")
    moments, days = parse_timestamps(iso, timezone).values, is_day(iso)
    first = _microseconds(moments, missing)
    if not days.any():
        return first, first
    return first, _microseconds(moments.where(~days, last_instants(iso.where(days), timezone)), missing)


def _microseconds(moments: pd.Series, missing: int) -> np.ndarray:
    values = moments.dt.as_unit("us").astype("int64").to_numpy().copy()
    values[moments.isna().to_numpy()] = missing
    return values


def _interval_of(keys: pd.Series, at: np.ndarray, until: np.ndarray, lookup: Lookup) -> np.ndarray:
    """The lookup's row whose interval holds some of the time from `at` to `until` [n], which are one but for days; -1
    where none does, of several the one that began last."""
    groups, codes = np.unique(lookup.keys.to_numpy(dtype=str), return_inverse=True)
    group = pd.Index(groups).get_indexer(pd.Index(keys))
    usable = keys.notna().to_numpy() & (group >= 0) & (at != -_NEVER)
    # Rows are sorted by key and start: rank (key, time) among them.
    starts = np.rec.fromarrays([codes, lookup.starts])
    wanted = np.rec.fromarrays([np.where(usable, group, -1), until])
    place = np.searchsorted(starts, wanted, side="right") - 1
    found = np.full(len(at), -1)
    rows = np.flatnonzero(usable & (place >= 0))
    while len(rows := rows[codes[place[rows]] == group[rows]]):
        holds = at[rows] <= lookup.stops[place[rows]]
        found[rows[holds]] = place[rows[holds]]
        rows = rows[~holds & (place[rows] > 0)]
        place[rows] -= 1
    return found
