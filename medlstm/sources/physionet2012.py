"""PhysioNet/CinC Challenge 2012: one text file per stay, in a folder or a .tar.gz, with an outcomes file.

Source: https://physionet.org/content/challenge-2012/1.0.0/, where -1 in a descriptor or in the length of stay
means that it was not recorded.
"""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from medlstm.config import Config
from medlstm.errors import LandingError
from medlstm.sources.landed import FileRead, Landed, LandingFolder, RowBatch, UnreadableFile, unparsed_rows
from medlstm.sources.placing import iso_text
from medlstm.tables import MINUTES_AFTER_ADMISSION

NUMERIC = ("Age", "Height", "Weight")
CATEGORICAL = ("Gender", "ICUType")
OBSERVED_HOURS = 48
_HEADER = b"Time,Parameter,Value"
_OUTCOMES = "Outcomes*.txt"
_RECORDS_PER_BATCH = 500
_MAX_RECORD_BYTES = 16 << 20
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
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
    """Read record files and archives of them, given as (name, path), some hundred at a time.

    A file that is no record is named as unreadable.
    """
    names: list[str] = []
    bodies: list[bytes] = []
    unreadable: list[UnreadableFile] = []
    for name, content in _contents(files):
        if isinstance(content, str):
            unreadable.append(UnreadableFile(name, content))
            continue
        names.append(name)
        bodies.append(content if content.endswith(b"\n") else content + b"\n")
        if len(bodies) == _RECORDS_PER_BATCH:
            yield _parse(names, bodies, unreadable)
            names, bodies, unreadable = [], [], []
    if bodies or unreadable:
        yield _parse(names, bodies, unreadable)


def _contents(files: list[tuple[str, Path]]) -> Iterator[tuple[str, bytes | str]]:
    """(name, bytes) of each record, or (name, why it is none)."""
    for name, path in files:
        if path.name.endswith(_ARCHIVES):
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
    content = stream.read(_MAX_RECORD_BYTES + 1)
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


def _parse(names: list[str], bodies: list[bytes], unreadable: list[UnreadableFile]) -> ChallengeRecords:
    """All files joined and parsed at once, which is ten times faster than one by one."""
    lines = np.array([body.count(b"\n") for body in bodies], dtype=np.int64)
    starts = np.cumsum(lines) - lines
    skipped: list[tuple[int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        skipped.append((row.number - 1, row.text))
        return "skip"

    table = pa_csv.read_csv(
        pa.BufferReader(b"".join(bodies) or _HEADER),
        read_options=pa_csv.ReadOptions(column_names=["time", "variable", "value"], use_threads=False),
        parse_options=pa_csv.ParseOptions(quote_char=False, invalid_row_handler=skip, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(("time", "variable", "value"), pa.string()), strings_can_be_null=True,
            null_values=[""],
        ),
    )  # fmt: skip
    line = np.setdiff1d(np.arange(table.num_rows + len(skipped)), [number for number, _ in skipped])
    file = np.searchsorted(starts, line, side="right") - 1
    table = table.append_column("file", pa.array(file)).append_column("row", pa.array(line - _at(starts, file)))
    table = table.filter(pc.greater(table.column("row"), 0))
    malformed = tuple(
        (names[index], int(number - starts[index]), text)
        for number, text in skipped
        for index in (int(np.searchsorted(starts, number, side="right")) - 1,)
    )
    return _split(table, names, malformed, unreadable)


def _at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    return values[index] if len(values) else np.zeros(len(index), dtype=np.int64)


def _split(
    table: pa.Table, names: list[str], malformed: tuple[tuple[str, int, str], ...], unreadable: list[UnreadableFile]
) -> ChallengeRecords:
    """Descriptors (rows at 00:00 before the first measurement) apart from measurements."""
    is_start = pc.equal(table.column("time"), "00:00")
    describing = pc.and_(is_start, pc.is_in(table.column("variable"), pa.array([*_DESCRIPTORS, "Weight"])))
    described = table.filter(pc.fill_null(describing, False)).to_pandas()
    first = described.drop_duplicates(["file", "variable"])
    wide = first.pivot(index="file", columns="variable", values="value").reindex(range(len(names)))
    wide = wide.reindex(columns=[*_DESCRIPTORS, "Weight"])
    for index in np.flatnonzero(wide["RecordID"].isna()):
        unreadable.append(UnreadableFile(names[index], "it has no RecordID at 00:00"))
    descriptors = pd.DataFrame({"stay_id": wide["RecordID"], "source_file": names})
    for name in (*NUMERIC, *CATEGORICAL):
        descriptors[name] = _known(wide[name], name)
    kept = pc.invert(pc.fill_null(pc.and_(is_start, pc.is_in(table.column("variable"), pa.array(_DESCRIPTORS))), False))
    # A weight of -1 is a descriptor that was not recorded, not a measurement.
    not_recorded = pc.and_(describing, pc.equal(table.column("value"), "-1"))
    measured = table.filter(pc.and_(kept, pc.invert(pc.fill_null(not_recorded, False))))
    file = measured.column("file").to_numpy()
    ids = pa.array(descriptors["stay_id"].astype(object).where(descriptors["stay_id"].notna(), None), pa.string())
    stay = ids.take(pa.array(file))
    measurements = pa.table(
        {
            "stay_id": stay,
            "minutes": _minutes(measured.column("time")),
            "time": measured.column("time"),
            "variable": measured.column("variable"),
            "value": measured.column("value"),
            "source_file": pa.array(names, pa.string()).take(pa.array(file)),
            "source_row": measured.column("row"),
        }
    ).filter(pc.is_valid(stay))
    known = descriptors[descriptors["stay_id"].notna()].reset_index(drop=True)
    return ChallengeRecords(known, measurements, malformed, tuple(unreadable))


def _known(column: pd.Series, name: str) -> pd.Series:
    texts = column.where(column != "-1")
    return texts.replace(_NAMES[name]) if name in _NAMES else texts


def _minutes(times: pa.ChunkedArray) -> pa.ChunkedArray:
    matched = pc.extract_regex(times, r"^(?P<hours>\d{1,3}):(?P<minutes>[0-5]\d)$")
    hours, minutes = (pc.struct_field(matched, part).cast(pa.float64()) for part in ("hours", "minutes"))
    return pc.add(pc.multiply(hours, 60.0), minutes)


def read_outcomes(path: Path) -> pd.DataFrame:
    """stay_id, los_days (-1 where unknown) and died, all text, by the outcomes file.

    Raises LandingError naming the column that is missing.
    """
    wanted = {"RecordID": "stay_id", "Length_of_stay": "los_days", "In-hospital_death": "died"}
    try:
        outcomes = pd.read_csv(path, dtype="str", skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise LandingError(f"{path}: not an outcomes file ({type(error).__name__})") from error
    missing = [name for name in wanted if name not in outcomes]
    if missing:
        raise LandingError(f"{path}: the column {missing[0]} is missing; is it an outcomes file of the challenge?")
    return outcomes[list(wanted)].rename(columns=wanted).drop_duplicates("stay_id")


def known_length(outcomes: pd.DataFrame) -> pd.Series:
    """The length of stay as a timedelta, missing where it is unknown or no number."""
    days = pd.to_numeric(outcomes["los_days"], errors="coerce")
    return pd.to_timedelta(days.where(days >= 0), unit="D").dt.as_unit("us")


def record_files(place: Path) -> list[tuple[str, Path]]:
    """The record files of a folder, or an archive itself, as (name, path)."""
    if place.is_dir():
        return [(path.name, path) for path in sorted(place.glob("*.txt")) if not fnmatch(path.name, _OUTCOMES)]
    return [(place.name, place)]


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Records dropped as they are. The challenge gives no dates, so a stay is placed by its drop.

    A record with an outcome ended as the extract date began; one without has been in a bed for 48 hours when
    the extract date ends. An outcome of -1 days is left for the contract to refuse.
    """
    files = [path for path in landing.files if path.name.endswith((".txt", *_ARCHIVES))]
    tables = [path for path in files if fnmatch(path.name, _OUTCOMES)]
    outcomes = pd.concat([pd.DataFrame({"stay_id": [], "los_days": [], "died": []}, dtype="str"),
                          *map(read_outcomes, tables)]).drop_duplicates("stay_id")  # fmt: skip
    yield from (FileRead(landing.name(path)) for path in tables)
    for records in read_records([(landing.name(path), path) for path in files if path not in tables]):
        stays = records.descriptors.merge(outcomes, on="stay_id", how="left", validate="m:1")
        stays = stays.assign(**_placed(stays, landing.extract_date, config))
        yield RowBatch("stays", _stays(stays))
        yield RowBatch("observations", _observations(records))
        for name, lines in records.unparsed().items():
            yield RowBatch("observations", unparsed_rows(name, lines))
        yield from (FileRead(name) for name in stays["source_file"])
        yield from records.unreadable


def _placed(stays: pd.DataFrame, extract_date: date, config: Config) -> dict[str, pd.Series]:
    zone = ZoneInfo(config.workspace.timezone)
    start = pd.Timestamp(datetime.combine(extract_date, time(), zone)).tz_convert("UTC")
    end = pd.Timestamp(datetime.combine(extract_date + timedelta(days=1), time(), zone)).tz_convert("UTC")
    length = known_length(stays)
    admitted = (start - length).fillna(end - pd.Timedelta(hours=OBSERVED_HOURS))
    discharged = pd.Series(start, index=stays.index).where(length.notna())
    return {"admitted_at": admitted.dt.as_unit("us"), "discharged_at": discharged.dt.as_unit("us")}


def _stays(stays: pd.DataFrame) -> pa.Table:
    """Raw stays from descriptors with admitted_at, discharged_at (aware), los_days and died (text)."""
    text = {name: _text(stays[name]) for name in ("los_days", "died", *NUMERIC, *CATEGORICAL)}
    return pa.table(
        {
            "stay_id": _text(stays["stay_id"]),
            "patient_id": _text(stays["stay_id"]),
            "admitted_at": iso_text(stays["admitted_at"]),
            "discharged_at": iso_text(stays["discharged_at"]),
            **text,
            "source_file": _text(stays["source_file"]),
            "source_row": pa.array(np.ones(len(stays), dtype=np.int64)),
        }
    )


def _observations(records: ChallengeRecords) -> pa.Table:
    """Raw observations: the time as received, and in minutes after the admission."""
    measurements = records.measurements
    counted = measurements.column("minutes").cast(pa.int64()).cast(pa.string())
    return pa.table(
        {
            "stay_id": measurements.column("stay_id"),
            "observed_at": measurements.column("time"),
            MINUTES_AFTER_ADMISSION: counted,
            "variable": measurements.column("variable"),
            "value": measurements.column("value"),
            "source_file": measurements.column("source_file"),
            "source_row": measurements.column("source_row"),
        }
    )


def _text(column: pd.Series) -> pa.Array:
    values = column.astype(object)
    return pa.array(values.where(values.notna(), None), pa.string())
