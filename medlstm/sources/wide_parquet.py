"""Hourly wide tables in Parquet, as YAIB (https://github.com/rvandewater/YAIB) and ricu write them.

`dyn`: stay_id, time since admission, one column per variable. `sta`: one row per stay. `outc`: what remains of the
stay, in hours, at each time. An empty cell, or NaN, is nothing observed.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medlstm.lake.schemas import LOS_DAYS, MINUTES_AFTER_ADMISSION, STAY_CORE
from medlstm.settings.source import WideParquetSource
from medlstm.settings.workspace import Config
from medlstm.sources.infer_dates import iso_text
from medlstm.sources.part_folders import matches
from medlstm.sources.source_batch import (
    BATCH_ROWS,
    FilesRead,
    Landed,
    LandingFolder,
    LandingWarning,
    RowBatch,
    UnreadableFile,
    raw_rows,
)
from medlstm.values.identifiers import identifier_text
from medlstm.values.missing_texts import ALSO_NAMES, NULL_TEXTS, without_null_texts
from medlstm.values.text_columns import Text, UnfitFileError, as_text, hours_of, repeated, require

_HOURS = {"minutes": 1 / 60, "hours": 1.0, "days": 24.0}
_SETTING = "columns in [source]"
_LONGEST_HOURS = 24_000_000.0


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Stays from the static tables, observations from the dynamic ones.

    Where the static table has no admission, a stay with a known length ended as the extract date began, and one
    without has been in a bed for as long as it has rows when the extract date ends.
    """
    source = config.source
    assert isinstance(source, WideParquetSource)
    kinds = (source.static, source.dynamic, source.outcomes)
    static, dynamic, outcomes = (_matching(landing, kind) for kind in kinds)
    broken: dict[Path, str] = {}
    hours = pd.DataFrame({"last": pd.Series(dtype="float64"), "length": pd.Series(dtype="float64")})
    for path in [*outcomes, *dynamic]:
        try:
            hours = _longest(hours, _hours_by_stay(path, source, path in outcomes))
        except (UnfitFileError, pa.ArrowException, OSError) as error:
            broken[path] = _reason(error)
    for path in [*static, *dynamic]:
        if path in broken:
            continue
        try:
            yield from _stays(path, hours, landing, config) if path in static else _observations(path, landing, source)
        except (UnfitFileError, pa.ArrowException, OSError) as error:
            broken[path] = _reason(error)
    for path in landing.files:
        if path in broken:
            yield UnreadableFile(landing.name(path), broken[path])
        elif path in {*static, *dynamic, *outcomes}:
            yield FilesRead((landing.name(path),))
    unknown = len(landing.files) - len({*static, *dynamic, *outcomes})
    if unknown:
        yield LandingWarning(
            f"{landing.extract_date}: {unknown} of {len(landing.files)} files match neither {', '.join(kinds)} "
            "and were not read"
        )


def _matching(landing: LandingFolder, pattern: str) -> list[Path]:
    """Files whose own name, or that of the folder of parts that they lie in, fits the pattern."""
    return [path for path in landing.files if matches(path.name, pattern) or matches(landing.name(path), pattern)]


def _reason(error: Exception) -> str:
    if isinstance(error, UnfitFileError):
        return str(error)
    return f"cannot be read as Parquet of plain columns ({type(error).__name__}); is it complete?"


def _longest(known: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([known, more]).groupby(level=0).max()


def _hours_by_stay(path: Path, source: WideParquetSource, with_outcome: bool) -> pd.DataFrame:
    """Per stay_id: the last time and, from outcomes below their cap, the whole length, in hours."""
    parts = []
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        header = file.schema_arrow.names
        names = [source.stay_id, source.time, *([source.outcome] if with_outcome else [])]
        columns = [require(name, header, f"stay_id, time or outcome in [source] ({name})") for name in names]
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            since = _hours(batch.column(source.time), source)
            length = np.full(len(since), np.nan)
            if with_outcome:
                remaining = _numbers(batch.column(source.outcome))
                below = remaining < (source.outcome_cap_hours or np.inf)
                length = np.where(below & (remaining >= 0), since + remaining, np.nan)
            frame = pd.DataFrame(
                {"last": since, "length": length},
                index=_identifiers(batch, source.stay_id).to_numpy(zero_copy_only=False),
            )
            parts.append(frame.groupby(level=0).max())
    return pd.concat(parts).groupby(level=0).max() if parts else pd.DataFrame({"last": [], "length": []})


def _identifiers(batch: pa.RecordBatch, name: str) -> Text:
    return without_null_texts(identifier_text(batch.column(name), name), NULL_TEXTS).cast(pa.string())


def _hours(column: pa.Array, source: WideParquetSource) -> np.ndarray:
    """Hours since the admission; NaN for timestamps and for what is no number."""
    if pa.types.is_duration(column.type):
        return _numbers(hours_of(column))
    return _numbers(column) * _HOURS[source.time_unit]


def _numbers(column: pa.Array) -> np.ndarray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.full(len(column), np.nan)
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return np.where(np.abs(values) < _LONGEST_HOURS, values, np.nan)


def _stays(path: Path, hours: pd.DataFrame, landing: LandingFolder, config: Config) -> Iterator[RowBatch]:
    source = config.source
    assert isinstance(source, WideParquetSource)
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        header = file.schema_arrow.names
        mapped = _static_columns(header, source, config)
        names = list(dict.fromkeys(mapped.values()))
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            columns = {
                name: _as_cells(batch.column(column), ALSO_NAMES if name in config.features.categorical else ())
                for name, column in mapped.items()
            }
            for name in ("stay_id", "patient_id"):
                if name in mapped:
                    columns[name] = _identifiers(batch, mapped[name])
            columns.setdefault("patient_id", columns["stay_id"])
            of_stay = hours.reindex(pd.Index(columns["stay_id"].to_numpy(zero_copy_only=False)))
            if "admitted_at" not in columns:
                columns |= _placed(of_stay, landing.extract_date, config.workspace.timezone)
            elif "discharged_at" not in columns:
                columns[LOS_DAYS] = as_text(pa.array(of_stay["length"].to_numpy() / 24, from_pandas=True))
            numbers = np.arange(read + 1, read + batch.num_rows + 1)
            yield RowBatch("stays", raw_rows(columns, landing.name(path), numbers))
            read += batch.num_rows


def _static_columns(header: list[str], source: WideParquetSource, config: Config) -> dict[str, str]:
    """Canonical name to column. Raises UnfitFileError for one that the configuration names and the file lacks."""
    mapped = {"stay_id": require(source.stay_id, header, "stay_id in [source]")}
    features = (*config.features.numeric, *config.features.categorical)
    for name in (*STAY_CORE[1:], *features):
        if name in source.columns or name in features:
            mapped[name] = require(source.columns.get(name, name), header, _SETTING)
        elif name in header:
            mapped[name] = name
    return mapped


def _placed(of_stay: pd.DataFrame, extract_date: date, timezone: str) -> dict[str, pa.Array]:
    zone = ZoneInfo(timezone)
    start, end = (
        pd.Timestamp(datetime.combine(extract_date + timedelta(days=days), time(), zone)).tz_convert("UTC")
        for days in (0, 1)
    )
    length, last = (
        pd.to_timedelta(of_stay[name].reset_index(drop=True), unit="h").dt.as_unit("us") for name in ("length", "last")
    )
    admitted = (start - length).fillna(end - last).fillna(end)
    discharged = pd.Series(start, index=length.index).where(length.notna())
    return {"admitted_at": iso_text(admitted), "discharged_at": iso_text(discharged)}


def _as_cells(column: pa.Array, names: tuple[str, ...] = ()) -> pa.Array:
    """Text, with NaN and the words for nothing, but for those that are `names` here, as missing."""
    texts = as_text(column)
    if pa.types.is_primitive(column.type):
        return texts
    return without_null_texts(texts, ["", *(word for word in NULL_TEXTS if word not in names)]).cast(pa.string())


def _observations(path: Path, landing: LandingFolder, source: WideParquetSource) -> Iterator[RowBatch]:
    """One table per variable and batch: the rows in which it has a value."""
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        header = file.schema_arrow.names
        variables = [name for name in header if name not in (source.stay_id, source.time)]
        if not variables:
            raise UnfitFileError(f"no column beside {source.stay_id} and {source.time}: it holds no variable")
        read = 0
        for batch in file.iter_batches(BATCH_ROWS // 4):
            stay, times = _identifiers(batch, source.stay_id), _times(batch.column(source.time), source)
            for variable in variables:
                cells = _as_cells(batch.column(variable))
                seen = pc.is_valid(cells)
                present = np.flatnonzero(seen.to_numpy(zero_copy_only=False))
                if not len(present):
                    continue
                columns = {name: column.filter(seen) for name, column in {"stay_id": stay, **times}.items()}
                columns |= {"variable": repeated(variable, len(present)), "value": cells.filter(seen)}
                yield RowBatch("observations", raw_rows(columns, landing.name(path), read + present + 1))
            read += batch.num_rows


def _times(column: pa.Array, source: WideParquetSource) -> dict[str, pa.Array]:
    """The time as received and, where it counts from the admission, in minutes."""
    if not (pa.types.is_duration(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return {"observed_at": as_text(column)}
    minutes = pa.array(_hours(column, source) * 60, from_pandas=True)
    return {"observed_at": as_text(column), MINUTES_AFTER_ADMISSION: as_text(minutes)}
