"""One date's landing folder to batches of raw rows, by the source that the workspace declares."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from medlstm.errors import LandingError
from medlstm.lake.file_order import file_order
from medlstm.settings.source import CsvFileMapping, CsvSource, SqlSource
from medlstm.settings.workspace import Config
from medlstm.sources import csv, fhir, meds, physionet2012, sql, wide_parquet
from medlstm.sources.part_folders import is_leftover
from medlstm.sources.source_batch import Landed, LandingFolder, LandingWarning

READERS: dict[str, Callable[[LandingFolder, Config], Iterator[Landed]]] = {
    "csv": csv.read,
    "physionet2012": physionet2012.read,
    "wide_parquet": wide_parquet.read,
    "fhir": fhir.read,
    "meds": meds.read,
    "sql": sql.read,
}
# Sources whose deliveries refer to what earlier ones said, and what they want to remember of each.
REMEMBERING: dict[str, Callable[[Sequence[LandingFolder], Config], pa.Table]] = {"fhir": fhir.remember}
# What `medlstm replay workspace` writes, whatever the workspace's source is.
REPLAYED_FOLDER = "replayed"
# What `medlstm replay` writes: canonical columns, dated.
REPLAYED = [
    CsvFileMapping(pattern="stays.parquet", table="stays"),
    CsvFileMapping(pattern="observations.parquet", table="observations"),
]
_OF_REPLAYED_FOLDER = [one.model_copy(update={"pattern": f"{REPLAYED_FOLDER}/{one.pattern}"}) for one in REPLAYED]


def list_landing(folder: Path, extract_date: date) -> LandingFolder:
    """The files of a date's delivery. Raises LandingError when the folder does not exist."""
    if not folder.is_dir():
        raise LandingError(
            f"{folder}: no such folder; nothing was delivered for {extract_date}. Create it (empty, if there was "
            "nothing to deliver) and run the night again"
        )
    return LandingFolder(folder, extract_date, landing_files(folder))


def read_landing(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """The rows of every file that the source knows, in batches; an empty folder is a warning."""
    if not landing.files:
        yield LandingWarning(f"{landing.extract_date}: the landing folder is empty")
        return
    own = without_replayed(landing)
    if len(own.files) < len(landing.files):
        replayed = replace(landing, files=tuple(path for path in landing.files if path not in own.files))
        yield from csv.read_mapped(replayed, _OF_REPLAYED_FOLDER, config)
    if own.files:
        yield from _read_own(own, config)


def without_replayed(landing: LandingFolder) -> LandingFolder:
    """The files that the source itself delivered."""
    names = {one.pattern for one in _OF_REPLAYED_FOLDER}
    return replace(landing, files=tuple(path for path in landing.files if landing.name(path) not in names))


def _read_own(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    if not isinstance(config.source, CsvSource | SqlSource) and _is_replayed(landing):
        yield from csv.read_mapped(landing, REPLAYED, config)
        return
    yield from READERS[config.source.format](landing, config)


def _is_replayed(landing: LandingFolder) -> bool:
    return any(path.name in (one.pattern for one in REPLAYED) for path in landing.files)


def landing_files(folder: Path) -> tuple[Path, ...]:
    """The files below `folder`, of each name the latest last; hidden ones (a transfer in progress), links and what
    programs leave beside part files are left alone."""
    return tuple(Path(path) for path in sorted(_below(str(folder)), key=file_order))


def _below(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover(entry.name) or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path
