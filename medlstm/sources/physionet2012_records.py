"""The Challenge's record files, single or in archives, as columns of text."""

import math
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from medlstm.lake.dictionary_encoding import joined, one_chunk
from medlstm.lake.prefetch import mapped
from medlstm.sources.source_batch import UnreadableFile

NUMERIC = ("Age", "Height", "Weight")
CATEGORICAL = ("Gender", "ICUType")
# What is measured in blood; all else is read at the bedside.
LABORATORY = (
    "Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "Glucose", "HCO3", "HCT", "K",
    "Lactate", "Mg", "Na", "PaCO2", "PaO2", "pH", "Platelets", "SaO2", "TroponinI", "TroponinT", "WBC",
)  # fmt: skip
_TIME = re.compile(r"(\d{1,3}):([0-5]\d)")
_HEADER = b"Time,Parameter,Value"
OUTCOMES = "Outcomes*.txt"
# Some 400,000 rows: smaller batches take longer for each row, larger ones leave the other threads waiting.
_RECORDS_PER_BATCH = 1000
_USUAL_RECORD_BYTES = 64 << 10
_MAX_RECORD_BYTES = 16 << 20
ARCHIVES = (".tar.gz", ".tgz", ".tar")
_DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType")
_NAMES = {
    "Gender": {"0": "female", "1": "male"},
    "ICUType": {"1": "coronary care", "2": "cardiac surgery", "3": "medical", "4": "surgical"},
}


@dataclass(frozen=True)
class ChallengeRecords:
    """Some records of a folder or archive.

    `descriptors`: one row a record, text: stay_id, the static features, source_file. `measurements`: stay_id,
    minutes (float, NaN where the time is malformed), time, variable and value as text, source_file, source_row.
    """

    descriptors: pd.DataFrame
    measurements: pa.Table
    malformed: tuple[tuple[str, int, str], ...]
    unreadable: tuple[UnreadableFile, ...]

    def unparsed(self) -> dict[str, list[tuple[int, str]]]:
        """The malformed lines (number, text) of each file."""
        by_file: dict[str, list[tuple[int, str]]] = {}
        for name, number, text in self.malformed:
            by_file.setdefault(name, []).append((number, text))
        return by_file


def read_records(files: list[tuple[str, Path]]) -> Iterator[ChallengeRecords]:
    """Read record files and archives of them, given as (name, path), a thousand at a time.

    A file that is no record is named as unreadable.
    """
    yield from mapped(_parse, _batches(files))


class _Texts(NamedTuple):
    """Records as they were read, each ended by a line break; and the files that are none."""

    names: list[str]
    bodies: list[bytes]
    unreadable: list[UnreadableFile]


def _batches(files: list[tuple[str, Path]]) -> Iterator[_Texts]:
    batch = _Texts([], [], [])
    for name, content in _contents(files):
        if isinstance(content, str):
            batch.unreadable.append(UnreadableFile(name, content))
            continue
        batch.names.append(name)
        batch.bodies.append(content if content.endswith(b"\n") else content + b"\n")
        if len(batch.bodies) == _RECORDS_PER_BATCH:
            yield batch
            batch = _Texts([], [], [])
    if batch.bodies or batch.unreadable:
        yield batch


def _contents(files: list[tuple[str, Path]]) -> Iterator[tuple[str, bytes | str]]:
    """(name, bytes) of each record, or (name, why it is none)."""
    for name, path in files:
        if path.name.endswith(ARCHIVES):
            yield from _members(name, path)
        else:
            with path.open("rb") as stream:
                yield name, _record_bytes(stream)


def _members(name: str, path: Path) -> Iterator[tuple[str, bytes | str]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None and member.name.endswith(".txt"):
                    yield f"{name}/{member.name}", _record_bytes(stream)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        yield name, f"the archive cannot be read to its end ({type(error).__name__}); fetch it again"


def _record_bytes(stream: IO[bytes]) -> bytes | str:
    content = stream.read(_USUAL_RECORD_BYTES)
    if len(content) == _USUAL_RECORD_BYTES:
        content += stream.read(_MAX_RECORD_BYTES + 1 - len(content))
    if len(content) > _MAX_RECORD_BYTES:
        return f"larger than {_MAX_RECORD_BYTES >> 20} MB, so no record of the challenge"
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.split(b"\n", 1)[0].strip() != _HEADER:
        return "its first line is not Time,Parameter,Value"
    try:
        content.isascii() or content.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 text; export it as UTF-8"
    return content


def _parse(batch: _Texts) -> ChallengeRecords:
    """All files joined and parsed at once, which is ten times faster than one by one."""
    names, bodies, unreadable = batch
    lines = np.array([body.count(b"\n") for body in bodies], dtype=np.int64)
    starts = np.cumsum(lines) - lines
    skipped: list[tuple[int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        skipped.append((row.number - 1, row.text))
        return "skip"

    text = pa.dictionary(pa.int32(), pa.string())
    table = pa_csv.read_csv(
        pa.BufferReader(b"".join(bodies) or _HEADER),
        read_options=pa_csv.ReadOptions(column_names=["time", "variable", "value"], use_threads=False),
        parse_options=pa_csv.ParseOptions(quote_char=False, invalid_row_handler=skip, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(("time", "variable", "value"), text), strings_can_be_null=True, null_values=[""],
        ),
    )  # fmt: skip
    line = np.delete(np.arange(table.num_rows + len(skipped)), [number for number, _ in skipped])
    file = np.searchsorted(starts, line, side="right") - 1
    row = line - (starts[file] if len(starts) else line)
    malformed = tuple(
        (names[index], int(number - starts[index]), text)
        for number, text in skipped
        for index in (int(np.searchsorted(starts, number, side="right")) - 1,)
    )
    return _split(_Lines(joined([table]), file, row), names, malformed, unreadable)


@dataclass(frozen=True)
class _Lines:
    """Lines of several files: columns time, variable, value as dictionaries, and [n] which file and row (0: header)."""

    table: pa.Table
    file: np.ndarray
    row: np.ndarray

    def take(self, rows: np.ndarray) -> "_Lines":
        return _Lines(self.table.take(pa.array(rows)), self.file[rows], self.row[rows])

    def column(self, name: str) -> pa.DictionaryArray:
        return one_chunk(self.table.column(name))

    def each(self, name: str, read: Callable[[str], Any], missing: Any) -> np.ndarray:
        """`read` of each row's text, called once for each distinct one."""
        column = self.column(name)
        found = np.array([*(read(text) for text in column.dictionary.to_pylist()), missing])
        return found[column.indices.fill_null(-1).to_numpy()]


def _split(
    lines: _Lines, names: list[str], malformed: tuple[tuple[str, int, str], ...], unreadable: list[UnreadableFile]
) -> ChallengeRecords:
    """Descriptors (rows at 00:00 before the first measurement) apart from measurements."""
    is_start = lines.each("time", "00:00".__eq__, False)
    is_descriptor = is_start & lines.each("variable", _DESCRIPTORS.__contains__, False)
    is_weight = is_start & lines.each("variable", "Weight".__eq__, False)
    described = lines.take(np.flatnonzero(is_descriptor | is_weight))
    frame = described.table.select(["variable", "value"]).to_pandas().astype("str").assign(file=described.file)
    first = frame.drop_duplicates(["file", "variable"])
    wide = first.pivot(index="file", columns="variable", values="value").reindex(range(len(names)))
    wide = wide.reindex(columns=[*_DESCRIPTORS, "Weight"])
    for index in np.flatnonzero(wide["RecordID"].isna()):
        unreadable.append(UnreadableFile(names[index], "it has no RecordID at 00:00"))
    descriptors = pd.DataFrame({"stay_id": wide["RecordID"].astype("str"), "source_file": names})
    for name in (*NUMERIC, *CATEGORICAL):
        descriptors[name] = _known(wide[name], name)
    known = descriptors["stay_id"].notna().to_numpy()
    # A weight of -1 is a descriptor that was not recorded, not a measurement.
    not_recorded = is_weight & lines.each("value", "-1".__eq__, False)
    kept = (lines.row > 0) & ~is_descriptor & ~not_recorded & np.append(known, False)[lines.file]
    measured = lines.take(np.flatnonzero(kept))
    file = pa.array(measured.file.astype(np.int32))
    minutes = measured.each("time", _minutes, math.nan)
    ids = as_arrow_text(descriptors["stay_id"].where(descriptors["stay_id"].notna(), ""))
    measurements = pa.table(
        {
            "stay_id": pa.DictionaryArray.from_arrays(file, ids),
            "minutes": pa.array(minutes, mask=np.isnan(minutes)),
            "time": measured.column("time"),
            "variable": measured.column("variable"),
            "value": measured.column("value"),
            "source_file": pa.DictionaryArray.from_arrays(file, pa.array(names, pa.string())),
            "source_row": pa.array(measured.row),
        }
    )
    return ChallengeRecords(descriptors[known].reset_index(drop=True), measurements, malformed, tuple(unreadable))


def _minutes(text: str) -> float:
    matched = _TIME.fullmatch(text)
    return 60.0 * int(matched[1]) + int(matched[2]) if matched else math.nan


def _known(column: pd.Series, name: str) -> pd.Series:
    texts = column.where(column != "-1")
    return texts.replace(_NAMES[name]) if name in _NAMES else texts


def record_files(place: Path) -> list[tuple[str, Path]]:
    """The record files of a folder, or an archive itself, as (name, path)."""
    if place.is_dir():
        return [(path.name, path) for path in sorted(place.glob("*.txt")) if not fnmatch(path.name, OUTCOMES)]
    return [(place.name, place)]


def as_arrow_text(column: pd.Series) -> pa.Array:
    return pa.array(column.astype("str"), pa.string(), from_pandas=True)
