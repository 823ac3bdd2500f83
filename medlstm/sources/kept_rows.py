"""Rows of other files that joins look up, kept in the lake from each date's drop: as of a date, the newest of each.

A drop that holds only what is new names patients and encounters of earlier drops. Each date's rows of such a file lie
in lake/reference/<keep_as>/extract_date=D, and a lookup as of D reads the partitions up to D, so that a past date finds
what it found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medlstm.lake.database import connect
from medlstm.lake.files import partitions_until
from medlstm.lake.partitions import NUMBERED_ROWS_SQL
from medlstm.settings.source import CsvSource, JoinSection, TableMapping, with_kept
from medlstm.settings.workspace import Config
from medlstm.sources.asked_columns import AskedColumns, asked_by_join
from medlstm.sources.joins import Lookup, joined_columns, make_lookup
from medlstm.sources.mapping import Received
from medlstm.sources.source_batch import KnownRows

# A lookup is held whole up to this share of the memory limit; a larger one is asked for the keys of each batch.
_HELD_SHARE = 1 / 8
_BYTES_PER_CELL = 64


@dataclass(frozen=True)
class KeptRows:
    """Some of a date's rows of the reference table `name`."""

    name: str
    rows: pa.Table


@dataclass(frozen=True)
class KeptTable:
    """A reference table: the files that it is kept of, what joins ask of them, and which columns are keys."""

    name: str
    join: JoinSection
    asked: AskedColumns
    keys: frozenset[str]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(sorted(self.asked.names))

    @property
    def schema(self) -> pa.Schema:
        """Text as received, with where it came from; the date is the partition's."""
        texts = [pa.field(name, pa.string()) for name in self.columns]
        return pa.schema([*texts, pa.field("source_file", pa.string()), pa.field("source_row", pa.int64())])

    def rows(self, received: Received, source_file: str) -> pa.Table:
        """What is kept of some rows: keys without blanks around them."""
        columns = {name: received.columns.column(name).cast(pa.string()) for name in self.columns}
        columns |= {name: pc.utf8_trim_whitespace(columns[name]) for name in self.keys}
        count = len(received.numbers)
        columns["source_file"] = pa.array([source_file] * count, pa.string())
        columns["source_row"] = pa.array(received.numbers, pa.int64())
        return pa.table([columns[name] for name in self.schema.names], schema=self.schema)


def kept_tables(config: Config) -> tuple[KeptTable, ...]:
    """One table for each `keep_as`, with the columns that any of its joins uses."""
    if not isinstance(config.source, CsvSource):
        return ()
    mappings = config.source.files
    found: dict[str, KeptTable] = {}
    for mapping, join in ((one, with_kept(join, mappings)) for one in mappings for join in one.joins):
        if join.keep_as:
            asked = asked_by_join(join, mapping, config)
            keys = frozenset([*join.on.values(), *identity(mapping, join)])
            other = found.get(join.keep_as)
            found[join.keep_as] = KeptTable(
                join.keep_as,
                other.join if other else join,
                other.asked.and_those_of(asked) if other else asked,
                other.keys | keys if other else keys,
            )
    return tuple(found.values())


def identity(mapping: TableMapping, join: JoinSection) -> list[str]:
    """The columns by which a newer row takes the place of an older one."""
    if join.key:
        return list(join.key)
    if join.between is None:
        return [*join.on.values(), *([join.newest_by] if join.newest_by else [])]
    prefix = f"{join.name}."
    for stay in (mapping.columns.get("stay_id", ""), mapping.fallbacks.get("stay_id", "")):
        if stay.startswith(prefix):
            return [stay.removeprefix(prefix)]
    return [*join.on.values(), join.between.start]


class KeptLookup:
    """The newest rows of a reference table for one join, as of a date; `close` ends it."""

    def __init__(self, join: JoinSection, mapping: TableMapping, known: KnownRows, config: Config) -> None:
        self.join, self.mapping, self.config = join, mapping, config
        self.columns = sorted(joined_columns(mapping, join))
        paths = partitions_until(known.workspace.reference(str(join.keep_as)), known.as_of)
        self.lacking = _lacking(paths, self.columns)
        limit_gb = config.workspace.memory_limit_gb
        self._database = connect(known.workspace, limit_gb / 4)
        self.rows = self._read(paths)
        is_held = self.rows * len(self.columns) * _BYTES_PER_CELL <= limit_gb * 1e9 * _HELD_SHARE
        self._whole = self._lookup("select * from newest") if is_held else None

    def close(self) -> None:
        self._database.close()

    def lookup(self, received: Received) -> Lookup:
        """What is known, or of a large table what is known of the keys of these rows."""
        if self._whole is not None:
            return self._whole
        names = list(self.join.on)
        if any(name not in received.header for name in names):
            return self._lookup("select * from newest where false")
        wanted = {f"k{place}": pc.utf8_trim_whitespace(received.columns.column(name).cast(pa.string()))
                  for place, name in enumerate(names)}  # fmt: skip
        self._database.register("wanted", pa.table(wanted))
        same = [f"newest.{_quoted(theirs)} = wanted.k{place}" for place, theirs in enumerate(self.join.on.values())]
        found = self._lookup(f"select newest.* from newest semi join wanted on {' and '.join(same)}")
        self._database.unregister("wanted")
        return found

    def _read(self, paths: Sequence[Path]) -> int:
        """Make the table `newest`, which lies on disk where it is large; returns its rows."""
        if not paths:
            cells = ", ".join(f"null::varchar as {_quoted(name)}" for name in self.columns)
            self._database.execute(f"create temp table newest as select {cells}, 0 as place where false").fetchall()
            return 0
        held = {name for path in paths for name in pq.read_schema(path).names}
        cells = ", ".join(
            _quoted(name) if name in held else f"null::varchar as {_quoted(name)}" for name in self.columns
        )
        same = ", ".join(_quoted(name) for name in identity(self.mapping, self.join))
        named = " and ".join(f"coalesce({_quoted(name)}, '') <> ''" for name in self.join.on.values())
        names = ", ".join(_quoted(name) for name in self.columns)
        self._database.execute(
            f"""
            create temp table newest as
            select {names}, row_number() over (order by extract_date, file_row_number) as place
            from (select {cells}, extract_date, file_row_number from ({NUMBERED_ROWS_SQL}))
            where {named}
            qualify row_number() over (partition by {same} order by extract_date desc, file_row_number desc) = 1
            """,
            {"paths": [str(path) for path in paths]},
        ).fetchall()
        ((count,),) = self._database.execute("select count(*) from newest").fetchall()
        return int(count)

    def _lookup(self, query: str) -> Lookup:
        rows = self._database.sql(f"select * exclude (place) from ({query}) order by place").to_arrow_table()
        zone = self.config.workspace.timezone
        return make_lookup(self.join, set(self.columns), [rows], self.mapping, zone)


def _lacking(paths: Sequence[Path], columns: Sequence[str]) -> tuple[str, ...]:
    """Columns that a kept partition does not have: they were mapped after its rows came."""
    return tuple(sorted({name for path in paths for name in set(columns) - set(pq.read_schema(path).names)}))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


