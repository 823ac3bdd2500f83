"""MEDS 0.4 datasets (https://github.com/Medical-Event-Data-Standard/meds): data/*.parquet and metadata/codes.parquet.

An event has subject_id, time (without a zone: local time of the workspace), code and, perhaps, numeric_value. The
standard promises that a subject's rows are in one file, together and in the order of time, those without a time first.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medlstm.errors import ConfigError
from medlstm.lake.schemas import STAY_CORE
from medlstm.settings.source import MedsSource
from medlstm.settings.workspace import Config
from medlstm.sources.meds_codes import ADMISSION, BIRTH, DEATH, DISCHARGE, CodeBook, Meaning
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
from medlstm.sources.times import ages
from medlstm.values.identifiers import identifier_text
from medlstm.values.text_columns import UnfitFileError, as_text, require

_DAY_US = 86_400_000_000
_NO_TIME = np.iinfo(np.int64).min
_NO_END = np.iinfo(np.int64).max
_SETTING = "is it a MEDS dataset?"


@dataclass(frozen=True)
class _Events:
    """Rows of whole subjects, sorted by subject and time: arrays [n]. `meaning` indexes `codes`; `time` in
    microseconds, _NO_TIME where there is none; `stay` is the stay column, if there is one; `row` from 1."""

    subject: np.ndarray
    time: np.ndarray
    code: np.ndarray
    codes: list[str]
    value: pa.Array
    stay: np.ndarray | None
    row: np.ndarray


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Stays from admissions and discharges, observations from the codes that `variables` names."""
    source = config.source
    assert isinstance(source, MedsSource)
    _require_known_features(source, config)
    parents: dict[str, list[str]] = {}
    counts = Counter[str]()
    shards = []
    for path in landing.files:
        name = landing.name(path)
        if fnmatch(name, source.metadata):
            try:
                parents |= _parents(path)
                yield FilesRead((name,))
            except (UnfitFileError, pa.ArrowException, OSError) as error:
                yield UnreadableFile(name, _reason(error))
        elif fnmatch(name, source.data):
            shards.append(path)
        else:
            counts["files match neither data nor metadata and were not read"] += 1
    book = CodeBook(source, parents)
    for path in shards:
        name = landing.name(path)
        try:
            for events in _whole_subjects(path, source):
                yield from _rows(events, name, book, counts, config)
            yield FilesRead((name,))
        except (UnfitFileError, pa.ArrowException, OSError) as error:
            yield UnreadableFile(name, _reason(error))
    for what, number in sorted((+counts).items()):
        yield LandingWarning(f"{landing.extract_date}: {number} {what}")


def _require_known_features(source: MedsSource, config: Config) -> None:
    for name in (*config.features.numeric, *config.features.categorical):
        if name != "age" and name not in source.statics:
            raise ConfigError(f"features: nothing gives {name}; name its codes in [source.statics]")


def _reason(error: Exception) -> str:
    if isinstance(error, UnfitFileError):
        return str(error)
    return f"cannot be read as MEDS Parquet ({type(error).__name__}); is it complete?"


def _parents(path: Path) -> dict[str, list[str]]:
    table = pq.ParquetFile(path).read()
    require("code", table.column_names, _SETTING)
    if "parent_codes" not in table.column_names:
        return {}
    pairs = zip(table.column("code").to_pylist(), table.column("parent_codes").to_pylist(), strict=True)
    return {code: [one for one in parents if one] for code, parents in pairs if code and parents}


def _whole_subjects(path: Path, source: MedsSource) -> Iterator[_Events]:
    """Batches that end where a subject ends. Raises UnfitFileError when a subject comes back later."""
    with pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        names = ["subject_id", "time", "code"]
        names += ["numeric_value"] if "numeric_value" in header else []
        names += [source.stay_column] if source.stay_column else []
        for name in names:
            require(name, header, "stay_column in [source]" if name == source.stay_column else _SETTING)
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


def _events(table: pa.Table, source: MedsSource, done: list[np.ndarray]) -> _Events:
    if table.column("subject_id").null_count:
        raise UnfitFileError("a row has no subject_id, which MEDS does not allow; correct the export")
    subject = table.column("subject_id").cast(pa.int64()).to_numpy()
    runs = 1 + int((subject[1:] != subject[:-1]).sum()) if len(subject) else 0
    distinct = np.unique(subject)
    if runs != len(distinct) or any(len(np.intersect1d(distinct, one, assume_unique=True)) for one in done):
        raise UnfitFileError("a subject's rows do not lie together, as MEDS wants them; sort the file by subject_id")
    done.append(distinct)
    moments = table.column("time").cast(pa.timestamp("us")).cast(pa.int64())
    time = pc.fill_null(moments, _NO_TIME).to_numpy()
    order = np.lexsort((table.column("row").to_numpy(), time, subject))
    encoded = pc.dictionary_encode(table.column("code").cast(pa.string())).combine_chunks()
    numeric = "numeric_value" in table.column_names
    value = table.column("numeric_value").combine_chunks() if numeric else pa.nulls(len(subject), pa.float32())
    stay = None
    if source.stay_column:
        stay = identifier_text(table.column(source.stay_column), source.stay_column).to_pandas().to_numpy(object)
    return _Events(
        subject[order], time[order], encoded.indices.fill_null(-1).to_numpy()[order], encoded.dictionary.to_pylist(),
        value.take(pa.array(order)), None if stay is None else stay[order], table.column("row").to_numpy()[order],
    )  # fmt: skip


def _rows(events: _Events, name: str, book: CodeBook, counts: Counter[str], config: Config) -> Iterator[RowBatch]:
    meanings = [book.meaning(code) for code in events.codes] + [None]
    role = np.array([one.role if one else "" for one in meanings], dtype=object)[events.code]
    names = np.array([one.name if one else "" for one in meanings], dtype=object)[events.code]
    stays = _stays(events, role, counts)
    yield RowBatch("stays", _stay_rows(events, stays, role, names, _static_texts(meanings, events), name, config))
    measured = role == "variable"
    numbers = pc.and_(pc.is_valid(events.value), pc.invert(pc.fill_null(pc.is_nan(events.value), True)))
    has_number = numbers.to_numpy(zero_copy_only=False)
    counts["measurements hold no number and were left out"] += int((measured & ~has_number).sum())
    rows = np.flatnonzero(measured & has_number)
    stay_of_row = _stay_of(events, stays, rows)
    counts["measurements lie in no stay and were left out"] += int((stay_of_row < 0).sum())
    rows, stay_of_row = rows[stay_of_row >= 0], stay_of_row[stay_of_row >= 0]
    columns = {
        "stay_id": pa.array(stays["stay_id"].to_numpy(object)[stay_of_row], pa.string()),
        "observed_at": _time_texts(events.time[rows]),
        "variable": pa.array(names[rows], pa.string()),
        "value": as_text(events.value.take(pa.array(rows))),
    }
    yield RowBatch("observations", raw_rows(columns, name, events.row[rows]))


def _static_texts(meanings: list[Meaning | None], events: _Events) -> np.ndarray:
    """What a static's pattern says of each event [n], None where it says nothing."""
    return np.array([one.text if one else None for one in meanings], dtype=object)[events.code]


def _stays(events: _Events, role: np.ndarray, counts: Counter[str]) -> pd.DataFrame:
    """One row per admission, in the order of events: subject, stay_id, begin and end (_NO_END while open), row.

    Without a stay column a stay ends at its subject's first discharge before the next admission.
    """
    begins = np.flatnonzero((role == ADMISSION) & (events.time != _NO_TIME))
    counts["admissions have no time and were left out"] += int(((role == ADMISSION) & (events.time == _NO_TIME)).sum())
    frame = pd.DataFrame({"subject": events.subject[begins], "begin": events.time[begins], "row": events.row[begins]})
    ends = np.flatnonzero((role == DISCHARGE) & (events.time != _NO_TIME))
    if events.stay is not None:
        frame["stay_id"] = events.stay[begins]
        discharges = pd.Series(events.time[ends], index=pd.Index(events.stay[ends])).groupby(level=0).min()
        frame["end"] = _looked_up(discharges, pd.Index(frame["stay_id"]), _NO_END)
        return frame
    texts = _time_texts(events.time[begins]).to_pylist()
    frame["stay_id"] = [f"{subject}/{text}" for subject, text in zip(frame["subject"], texts, strict=True)]
    # A discharge belongs to the admission before it, in the order of events.
    place = np.searchsorted(begins, ends, side="left") - 1
    fits = place >= 0
    fits[fits] = events.subject[begins[place[fits]]] == events.subject[ends[fits]]
    first = np.full(len(begins), _NO_END)
    np.minimum.at(first, place[fits], events.time[ends[fits]])
    frame["end"] = first
    counts["discharges follow no admission"] += int((~fits).sum())
    return frame


def _stay_of(events: _Events, stays: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """The place of each row's stay: by the stay column, else the subject's latest-begun one that holds its time."""
    found = np.full(len(rows), -1)
    if events.stay is not None:
        places = pd.Series(np.arange(len(stays)), index=pd.Index(stays["stay_id"]))
        places = places[~places.index.duplicated() & places.index.notna()]
        named = pd.Index(events.stay[rows])
        found = places.index.get_indexer(named)
        found = np.where(found >= 0, places.to_numpy()[found] if len(places) else -1, -1)
        found[np.asarray(named.isna())] = -1
    order = np.lexsort((stays["begin"], stays["subject"]))
    subject, begin = stays["subject"].to_numpy()[order], stays["begin"].to_numpy()[order]
    end = stays["end"].to_numpy()[order]
    open_rows = np.flatnonzero((found < 0) & (events.time[rows] != _NO_TIME))
    if len(stays) and len(open_rows):
        at = events.time[rows[open_rows]]
        keys = np.rec.fromarrays([subject, begin])
        place = np.searchsorted(keys, np.rec.fromarrays([events.subject[rows[open_rows]], at]), side="right") - 1
        holds = (place >= 0) & (subject[place] == events.subject[rows[open_rows]]) & (at <= end[place])
        found[open_rows[holds]] = order[place[holds]]
    return found


def _stay_rows(
    events: _Events, stays: pd.DataFrame, role: np.ndarray, names: np.ndarray, texts: np.ndarray, name: str,
    config: Config,
) -> pa.Table:  # fmt: skip
    begin, end = stays["begin"].to_numpy(), stays["end"].to_numpy()
    admitted = _time_texts(begin)
    births, deaths = (_time_of(events, role == one, stays) for one in (BIRTH, DEATH))
    died = (deaths != _NO_TIME) & (deaths >= begin) & (deaths - _DAY_US <= end)
    closed = end != _NO_END
    columns = {
        "stay_id": pa.array(stays["stay_id"].to_numpy(object), pa.string()),
        "patient_id": pa.array(stays["subject"].astype("str").to_numpy(object), pa.string()),
        "admitted_at": admitted,
        "discharged_at": _time_texts(np.where(closed, end, _NO_TIME)),
        "died": pa.array(np.where(died, "true", "false"), pa.string(), mask=~closed),
    }
    for feature in (*config.features.numeric, *config.features.categorical):
        if feature == "age" and "age" not in getattr(config.source, "statics", {}):
            columns[feature] = ages(_time_texts(births), admitted, config.workspace.timezone)
        elif feature not in STAY_CORE:
            columns[feature] = _static(events, (role == "static") & (names == feature), texts, stays)
    return raw_rows(columns, name, stays["row"].to_numpy())


def _time_of(events: _Events, hit: np.ndarray, stays: pd.DataFrame) -> np.ndarray:
    """The time of each stay's subject's last such event, _NO_TIME where there is none."""
    times = pd.Series(events.time[hit], index=events.subject[hit]).groupby(level=0).last()
    return _looked_up(times, pd.Index(stays["subject"]), _NO_TIME)


def _looked_up(values: pd.Series, keys: pd.Index, missing: int) -> np.ndarray:
    """The integer of each key [n], `missing` where there is none; never by way of floating point."""
    return np.append(values.to_numpy(dtype=np.int64), missing)[values.index.get_indexer(keys)]


def _static(events: _Events, hit: np.ndarray, texts: np.ndarray, stays: pd.DataFrame) -> pa.Array:
    """The subject's last such number before or at the admission, or without a time; a text where there is none."""
    rows = np.flatnonzero(hit)
    values = as_text(events.value.take(pa.array(rows))).to_pandas().to_numpy(object)
    numbers = np.array([None if value is None or value != value else value for value in values], dtype=object)
    given = np.where(pd.isna(numbers), texts[rows], numbers)
    keys = pd.DataFrame({"subject": events.subject[rows], "time": events.time[rows], "value": given})
    wanted = pd.DataFrame({"subject": stays["subject"], "time": stays["begin"], "place": np.arange(len(stays))})
    found = pd.merge_asof(
        wanted.sort_values("time", kind="stable"), keys.sort_values("time", kind="stable"), on="time", by="subject"
    )
    ordered = found.sort_values("place")["value"].astype(object)
    return pa.array(ordered.where(ordered.notna(), None).to_list(), pa.string())


def _time_texts(moments: np.ndarray) -> pa.Array:
    """Microseconds as ISO 8601 text of local times, null for _NO_TIME."""
    times = pa.array(moments, pa.int64(), mask=moments == _NO_TIME).cast(pa.timestamp("us"))
    micros = bool((moments[moments != _NO_TIME] % 1_000_000).any())
    return pc.strftime(times if micros else times.cast(pa.timestamp("s"), safe=False), format="%Y-%m-%dT%H:%M:%S")
