"""PhysioNet/CinC Challenge 2012: one text file per stay, in a folder or a .tar.gz, with an outcomes file.

Source: https://physionet.org/content/challenge-2012/1.0.0/, where -1 in a descriptor or in the length of stay
means that it was not recorded.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatch
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from medlstm.config import Config
from medlstm.errors import LandingError
from medlstm.sources.landed import LandedRows, UnreadableFile, join_tables, raw_table, unparsed_rows
from medlstm.tables import OBSERVATION_CORE, STAY_CORE

NUMERIC = ("Age", "Height", "Weight")
CATEGORICAL = ("Gender", "ICUType")
OBSERVED_HOURS = 48
_HEADER = b"Time,Parameter,Value"
_OUTCOMES = "Outcomes*.txt"
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType")
_NAMES = {
    "Gender": {"0": "female", "1": "male"},
    "ICUType": {"1": "coronary care", "2": "cardiac surgery", "3": "medical", "4": "surgical"},
}


@dataclass(frozen=True)
class ChallengeRecords:
    """All records of one folder or archive.

    `descriptors`: one row a record, text: stay_id, the static features, source_file. `measurements`: stay_id,
    minutes (float, NaN where the time is malformed), time, variable and value as text, source_file, source_row.
    """

    descriptors: pd.DataFrame
    measurements: pa.Table
    malformed: tuple[tuple[str, int, str], ...]
    unreadable: tuple[UnreadableFile, ...]

    @property
    def files_read(self) -> int:
        return len(self.descriptors)


def read_records(files: list[tuple[str, Path]]) -> ChallengeRecords:
    """Read record files and archives of them, given as (name, path); one that is no record is named as unreadable."""
    bodies: list[bytes] = []
    names: list[str] = []
    unreadable: list[UnreadableFile] = []
    for name, content in _contents(files, unreadable):
        if content.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip() != _HEADER:
            unreadable.append(UnreadableFile(name, "its first line is not Time,Parameter,Value"))
            continue
        names.append(name)
        bodies.append(content if content.endswith(b"\n") else content + b"\n")
    return _parse(names, bodies, unreadable)


def _contents(files: list[tuple[str, Path]], unreadable: list[UnreadableFile]) -> Iterator[tuple[str, bytes]]:
    for name, path in files:
        if not path.name.endswith(_ARCHIVES):
            yield name, path.read_bytes()
            continue
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.isfile() else None
                    if stream is not None and member.name.endswith(".txt"):
                        yield f"{name}/{member.name}", stream.read()
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            reason = f"the archive cannot be read to its end ({type(error).__name__}); fetch it again"
            unreadable.append(UnreadableFile(name, reason))


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


def read_physionet2012_landing(folder: Path, files: list[Path], extract_date: date, config: Config) -> LandedRows:
    """Records dropped as they are. The challenge gives no dates, so a stay is placed by its drop.

    A record with an outcome ended as the extract date began; one without has been in a bed for 48 hours when
    the extract date ends. An outcome of -1 days is left for the contract to refuse.
    """
    records_of = [path for path in files if path.name.endswith((".txt", *_ARCHIVES))]
    tables = [path for path in records_of if fnmatch(path.name, _OUTCOMES)]
    records = read_records([(path.relative_to(folder).as_posix(), path) for path in records_of if path not in tables])
    outcomes = pd.concat([pd.DataFrame({"stay_id": [], "los_days": [], "died": []}, dtype="str"),
                          *map(read_outcomes, tables)])  # fmt: skip
    stays = records.descriptors.merge(outcomes.drop_duplicates("stay_id"), on="stay_id", how="left", validate="m:1")
    stays = stays.assign(**_placed(stays, extract_date, config))
    warnings = () if files else (f"{extract_date}: the landing folder is empty",)
    day = pa.scalar(extract_date, pa.date32())
    return LandedRows(
        join_tables([stays_table(stays)], day, STAY_CORE),
        join_tables([*observation_tables(records, stays)], day, OBSERVATION_CORE),
        records.files_read + len(tables),
        records.unreadable,
        warnings,
    )


def _placed(stays: pd.DataFrame, extract_date: date, config: Config) -> dict[str, pd.Series]:
    zone = ZoneInfo(config.workspace.timezone)
    start = pd.Timestamp(datetime.combine(extract_date, time(), zone)).tz_convert("UTC")
    end = pd.Timestamp(datetime.combine(extract_date + timedelta(days=1), time(), zone)).tz_convert("UTC")
    length = known_length(stays)
    admitted = (start - length).fillna(end - pd.Timedelta(hours=OBSERVED_HOURS))
    discharged = pd.Series(start, index=stays.index).where(length.notna())
    return {"admitted_at": admitted.dt.as_unit("us"), "discharged_at": discharged.dt.as_unit("us")}


def stays_table(stays: pd.DataFrame) -> pa.Table:
    """Raw stays from descriptors with admitted_at, discharged_at (aware), los_days and died (text)."""
    text = {name: _text(stays[name]) for name in ("stay_id", "los_days", "died", *NUMERIC, *CATEGORICAL)}
    columns = {
        "stay_id": text.pop("stay_id"),
        "patient_id": _text(stays["stay_id"]),
        "admitted_at": iso_text(stays["admitted_at"]),
        "discharged_at": iso_text(stays["discharged_at"]),
        **text,
    }
    table = raw_table(columns, "", np.ones(len(stays), dtype=np.int64))
    place = table.column_names.index("source_file")
    return table.set_column(place, "source_file", _text(stays["source_file"]))


def observation_tables(records: ChallengeRecords, stays: pd.DataFrame) -> Iterator[pa.Table]:
    """Raw observations of the stays at hand, at admission + minutes; then the lines that could not be parsed."""
    measurements = records.measurements
    position = pd.Index(stays["stay_id"]).get_indexer(measurements.column("stay_id").to_pandas())
    admitted = stays["admitted_at"].dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
    minutes = measurements.column("minutes").to_numpy()
    known = ~np.isnan(minutes)
    moments = admitted[position] + np.where(known, minutes, 0).astype(np.int64) * 60_000_000
    times = pa.array(moments, mask=~known).cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("s", tz="UTC"))
    yield pa.table(
        {
            "stay_id": measurements.column("stay_id"),
            "observed_at": pc.coalesce(pc.strftime(times, format="%Y-%m-%dT%H:%M:%SZ"), measurements.column("time")),
            "variable": measurements.column("variable"),
            "value": measurements.column("value"),
            "source_file": measurements.column("source_file"),
            "source_row": measurements.column("source_row"),
        }
    ).filter(pa.array(position >= 0))
    by_file: dict[str, list[tuple[int, str]]] = {}
    for name, number, text in records.malformed:
        by_file.setdefault(name, []).append((number, text))
    for name, lines in by_file.items():
        yield unparsed_rows(name, lines, OBSERVATION_CORE)


def iso_text(moments: pd.Series) -> pa.Array:
    """Aware timestamps as ISO 8601 text in UTC, null where missing."""
    seconds = pa.Array.from_pandas(moments.dt.tz_convert("UTC")).cast(pa.timestamp("s", tz="UTC"), safe=False)
    return pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")


def _text(column: pd.Series) -> pa.Array:
    values = column.astype(object)
    return pa.array(values.where(values.notna(), None), pa.string())
