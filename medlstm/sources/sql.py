"""Queries against a database, over SQLAlchemy: their rows land as Parquet files, which are then read as any others.

So a night that is run again reads what it read before, whatever the database says by then.
"""

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    StatementError,
)

from medlstm.errors import ConfigError, LandingError
from medlstm.lake.files import StagedTables, Workspace
from medlstm.settings.source import CsvFileMapping, SqlSource, SqlTable
from medlstm.settings.workspace import Config
from medlstm.sources import csv
from medlstm.sources.source_batch import Landed, LandingFolder

_CHUNK_ROWS = 50_000
_CONNECT_SECONDS = 30


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """The rows that `fetch` landed, each query's by its own mapping."""
    source = config.source
    assert isinstance(source, SqlSource)
    yield from csv.read_mapped(landing, [_as_file(one) for one in source.tables], config)


def is_fetched(workspace: Workspace, day: date, source: SqlSource) -> bool:
    """Whether every query of a date has landed."""
    return all(_landed_file(workspace, day, one).is_file() for one in source.tables)


def fetch(workspace: Workspace, day: date, source: SqlSource, url: URL) -> dict[str, int]:
    """Run every query in one read-only transaction and land its rows, text as received; rows by name of the query.

    Nothing lands unless all queries ran to their end. Raises ConnectionError when the database cannot be reached or
    the connection breaks, which may pass, and LandingError when it refuses a query; neither shows a value or the URL.
    """
    rows: dict[str, int] = {}
    engine = create_engine(url, connect_args=_connect_arguments(url))
    try:
        with engine.connect() as connection, StagedTables() as staged:
            _begin_reading(connection)
            for table in source.tables:
                path = _landed_file(workspace, day, table)
                try:
                    rows[table.name] = _land(connection, table, day, staged, path)
                except (DBAPIError, StatementError) as error:
                    if _may_pass(error):
                        raise ConnectionError(f"the query {table.name} broke off ({_told(error)})") from None
                    raise LandingError(
                        f"the database refuses the query {table.name} ({_told(error)}); correct query in "
                        "[[source.tables]]"
                    ) from None
            staged.commit([_landed_file(workspace, day, table) for table in source.tables])
    except (OperationalError, InterfaceError) as error:
        raise ConnectionError(f"the database of [source] cannot be reached ({_told(error)})") from None
    finally:
        engine.dispose()
    return rows


def database_url(source: SqlSource, environment: dict[str, str], secret: str | None = None) -> URL:
    """The database's address; `secret` is the content of the block that `url_secret` names.

    Raises ConfigError that names the variable or block, never its content.
    """
    if source.url_secret:
        where, content = f"the Secret block {source.url_secret}", secret
    elif source.url_variable:
        where, content = f"the environment variable {source.url_variable}", environment.get(source.url_variable)
    else:
        where, content = "url in [source]", source.url
    if not content:
        raise ConfigError(f"{where} is not set; it holds the database's address, such as "
                          "postgresql+psycopg://reader:…@host/name")  # fmt: skip
    try:
        url = make_url(content)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ConfigError(f"{where} is no address that SQLAlchemy knows; it begins with a dialect and driver, as in "
                          "postgresql+psycopg://") from None  # fmt: skip
    if source.password_variable:
        password = environment.get(source.password_variable)
        if not password:
            raise ConfigError(f"the environment variable {source.password_variable} is not set; it holds the password")
        url = url.set(password=password)
    return url


def _as_file(table: SqlTable) -> CsvFileMapping:
    settings = table.model_dump(exclude={"name", "query"})
    return CsvFileMapping(pattern=f"{table.name}.parquet", **settings)


def _landed_file(workspace: Workspace, day: date, table: SqlTable) -> Path:
    return workspace.landing(day) / f"{table.name}.parquet"


def _connect_arguments(url: URL) -> dict[str, Any]:
    return {"connect_timeout": _CONNECT_SECONDS} if url.get_backend_name() in ("postgresql", "mysql") else {}


def _begin_reading(connection: Connection) -> None:
    """One snapshot for all queries, and no writing, where the database has both."""
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _land(connection: Connection, table: SqlTable, day: date, staged: StagedTables, path: Path) -> int:
    """Stream one query's rows into a Parquet file of text columns; returns their number."""
    wanted = {"extract_date": day, "next_date": day + timedelta(days=1)}
    statement = text(table.query)
    parameters = {name: value for name, value in wanted.items() if name in statement.compile().params}
    streaming = connection.execution_options(stream_results=True, yield_per=_CHUNK_ROWS)
    with streaming.execute(statement, parameters) as result:
        names = list(result.keys())
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise LandingError(f"the query {table.name} gives the column {repeated[0]} twice; name its columns apart")
        rows = 0
        staged.open(path, pa.schema([pa.field(name, pa.string()) for name in names]))
        for chunk in result.partitions(_CHUNK_ROWS):
            columns = zip(*chunk, strict=True)
            arrays = [pa.array([as_received(value) for value in column], pa.string()) for column in columns]
            staged.write(path, pa.table(arrays, names=names))
            rows += len(chunk)
    return rows


def as_received(value: Any) -> str | None:
    """A database value as text: timestamps and dates in ISO 8601, an interval in hours, booleans true or false.

    An empty text is missing; bytes and structures become a text that no contract takes for a number or a time.
    """
    match value:
        case None | "":
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return repr(value.total_seconds() / 3600)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case int() | UUID():
            return str(value)
        case Decimal():
            return format(value, "f") if value.is_finite() else str(value)
        case bytes() | memoryview():
            return f"{len(bytes(value))} bytes"
        case _:
            return f"a {type(value).__name__}"


def _may_pass(error: StatementError) -> bool:
    return isinstance(error, OperationalError | InterfaceError) and not _is_of_query(error)


def _is_of_query(error: StatementError) -> bool:
    """The query's text is wrong: a name that does not exist, a right that is missing, its syntax."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return state.startswith("42") or getattr(error.orig, "sqlite_errorname", None) == "SQLITE_ERROR"


def _told(error: StatementError) -> str:
    """What may be said of a database's error: its kind, and its message where that is about the query's text alone;
    other messages may hold values or the address."""
    kind = type(error.orig or error).__name__
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    told = f"{kind} {state}" if state else kind
    if not _is_of_query(error):
        return told
    message = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
    return f"{told}: {message.splitlines()[0]}"
