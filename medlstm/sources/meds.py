"""MEDS 0.4 datasets (https://github.com/Medical-Event-Data-Standard/meds): data/*.parquet and metadata/codes.parquet.

An event has subject_id, time (an instant where the column has a zone, else local time of the workspace), code and,
perhaps, numeric_value and text_value. The standard promises that a subject's rows are in one file and together.
"""

from collections import Counter
from collections.abc import Iterator
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
from medlstm.sources.meds_codes import BIRTH, DEATH, CodeBook, Meaning
from medlstm.sources.meds_events import NO_TIME, SETTING, Events, whole_subjects
from medlstm.sources.meds_stays import NO_END, looked_up, stay_of, stays_of
from medlstm.sources.source_batch import (
    FilesRead,
    Landed,
    LandingFolder,
    LandingWarning,
    LeftOut,
    RowBatch,
    UnreadableFile,
    raw_rows,
)
from medlstm.sources.times import ages
from medlstm.values.text_columns import UnfitFileError, require

_NO_NUMBER = "measurements hold no number and were left out"
_OF_NO_STAY = "measurements lie in no stay and were left out"
# By choice; all other counts are warnings.
_LEFT_OUT = (_NO_NUMBER, _OF_NO_STAY)
_DAY_US = 86_400_000_000


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
            for events in whole_subjects(path, source):
                yield from _rows(events, name, book, counts, config)
            yield FilesRead((name,))
        except (UnfitFileError, pa.ArrowException, OSError) as error:
            yield UnreadableFile(name, _reason(error))
    for what, number in sorted((+counts).items()):
        warning = LandingWarning(f"{landing.extract_date}: {number} {what}")
        yield LeftOut("observations", what, number) if what in _LEFT_OUT else warning


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
    require("code", table.column_names, SETTING)
    if "parent_codes" not in table.column_names:
        return {}
    pairs = zip(table.column("code").to_pylist(), table.column("parent_codes").to_pylist(), strict=True)
    return {code: [one for one in parents if one] for code, parents in pairs if code and parents}


def _rows(events: Events, name: str, book: CodeBook, counts: Counter[str], config: Config) -> Iterator[RowBatch]:
    meanings = [book.meaning(code) for code in events.codes] + [None]
    role = np.array([one.role if one else "" for one in meanings], dtype=object)[events.code]
    names = np.array([one.name if one else "" for one in meanings], dtype=object)[events.code]
    stays = stays_of(events, role, counts)
    yield RowBatch("stays", _stay_rows(events, stays, role, names, _static_texts(meanings, events), name, config))
    measured, value = role == "variable", events.measured()
    has_number = pc.is_valid(value).to_numpy(zero_copy_only=False)
    counts[_NO_NUMBER] += int((measured & ~has_number).sum())
    rows = np.flatnonzero(measured & has_number)
    stay_of_row = stay_of(events, stays, rows)
    counts[_OF_NO_STAY] += int((stay_of_row < 0).sum())
    rows, stay_of_row = rows[stay_of_row >= 0], stay_of_row[stay_of_row >= 0]
    columns = {
        "stay_id": pa.array(stays["stay_id"].to_numpy(object)[stay_of_row], pa.string()),
        "observed_at": events.time_texts(events.time[rows]),
        "variable": pa.array(names[rows], pa.string()),
        "value": value.take(pa.array(rows)),
    }
    yield RowBatch("observations", raw_rows(columns, name, events.row[rows]))


def _static_texts(meanings: list[Meaning | None], events: Events) -> np.ndarray:
    """What a static's pattern says of each event [n], None where it says nothing."""
    return np.array([one.text if one else None for one in meanings], dtype=object)[events.code]


def _stay_rows(
    events: Events, stays: pd.DataFrame, role: np.ndarray, names: np.ndarray, texts: np.ndarray, name: str,
    config: Config,
) -> pa.Table:  # fmt: skip
    begin, end = stays["begin"].to_numpy(), stays["end"].to_numpy()
    admitted = events.time_texts(begin)
    births, deaths = (_time_of(events, role == one, stays) for one in (BIRTH, DEATH))
    died = (deaths != NO_TIME) & (deaths >= begin) & (deaths - _DAY_US <= end)
    closed = end != NO_END
    columns = {
        "stay_id": pa.array(stays["stay_id"].to_numpy(object), pa.string()),
        "patient_id": pa.array(stays["subject"].astype("str").to_numpy(object), pa.string()),
        "admitted_at": admitted,
        "discharged_at": events.time_texts(np.where(closed, end, NO_TIME)),
        "died": pa.array(np.where(died, "true", "false"), pa.string(), mask=~closed),
    }
    for feature in (*config.features.numeric, *config.features.categorical):
        if feature == "age" and "age" not in getattr(config.source, "statics", {}):
            columns[feature] = ages(_dates(events, births), admitted, config.workspace.timezone)
        elif feature not in STAY_CORE:
            columns[feature] = _static(events, (role == "static") & (names == feature), texts, stays)
    return raw_rows(columns, name, stays["row"].to_numpy())


def _dates(events: Events, moments: np.ndarray) -> pa.Array:
    """Moments as text, midnights as their date alone: a birth is a day, whatever the zone of its clock."""
    texts = events.time_texts(moments)
    return pc.if_else(pa.array(moments % _DAY_US == 0), pc.utf8_slice_codeunits(texts, 0, 10), texts)


def _time_of(events: Events, hit: np.ndarray, stays: pd.DataFrame) -> np.ndarray:
    """The time of each stay's subject's last such event, NO_TIME where there is none."""
    times = pd.Series(events.time[hit], index=events.subject[hit]).groupby(level=0).last()
    return looked_up(times, pd.Index(stays["subject"]), NO_TIME)


def _static(events: Events, hit: np.ndarray, texts: np.ndarray, stays: pd.DataFrame) -> pa.Array:
    """The subject's last such value before or at the admission, or without a time: the number, else the text_value,
    else what the code says."""
    rows = np.flatnonzero(hit)
    told = pc.coalesce(events.number, events.words).take(pa.array(rows)).to_pandas().to_numpy(object)
    given = np.where(pd.isna(told), texts[rows], told)
    keys = pd.DataFrame({"subject": events.subject[rows], "time": events.time[rows], "value": given})
    wanted = pd.DataFrame({"subject": stays["subject"], "time": stays["begin"], "place": np.arange(len(stays))})
    found = pd.merge_asof(
        wanted.sort_values("time", kind="stable"), keys.sort_values("time", kind="stable"), on="time", by="subject"
    )
    ordered = found.sort_values("place")["value"].astype(object)
    return pa.array(ordered.where(ordered.notna(), None).to_list(), pa.string())

