"""Landing folder to raw Parquet: every row as the text that was received, every file accounted for."""

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from medlstm.config import Config
from medlstm.lake import Workspace, partition_dates, partition_file, read_table, write_table
from medlstm.sources.landed import UnreadableFile
from medlstm.sources.landing import read_landing

FILES_SCHEMA = pa.schema(
    [pa.field("source_file", pa.string()), pa.field("reason", pa.string()), pa.field("extract_date", pa.date32())]
)
TABLES = ("stays", "observations")


@dataclass(frozen=True)
class IngestSummary:
    """What one date's landing folder held: counts, the files that could not be read, warnings."""

    extract_date: date
    files_read: int
    stays: int
    observations: int
    unreadable: tuple[UnreadableFile, ...]
    warnings: tuple[str, ...]


def dates_to_ingest(workspace: Workspace, as_of: date) -> list[date]:
    """The date itself, and before it every landing folder that no night has taken in yet, oldest first."""
    done = set(partition_dates(workspace.raw(TABLES[-1])))
    missed = [day for day in _landing_dates(workspace) if day < as_of and day not in done]
    return [*missed, as_of]


def _landing_dates(workspace: Workspace) -> list[date]:
    folder = workspace.root / "landing"
    if not folder.is_dir():
        return []
    days = []
    for child in sorted(folder.iterdir()):
        try:
            days.append(date.fromisoformat(child.name))
        except ValueError:
            continue
    return days


def ingest_date(workspace: Workspace, extract_date: date, config: Config) -> IngestSummary:
    """Read `landing/<extract_date>` and replace that date's raw partitions.

    A date whose folder is gone but whose raw partitions exist (an old night run again) is left as it is.
    Raises LandingError when there is neither.
    """
    folder = workspace.landing(extract_date)
    if not folder.is_dir() and extract_date in partition_dates(workspace.raw(TABLES[-1])):
        return _kept(workspace, extract_date)
    rows = read_landing(folder, extract_date, config)
    files = [(file.source_file, file.reason, extract_date) for file in rows.unreadable]
    records = [dict(zip(FILES_SCHEMA.names, values, strict=True)) for values in files]
    write_table(pa.Table.from_pylist(records, schema=FILES_SCHEMA),
                partition_file(workspace.quarantine("files"), extract_date))  # fmt: skip
    # Observations last: their partition marks the date as taken in.
    write_table(rows.stays, partition_file(workspace.raw("stays"), extract_date))
    write_table(rows.observations, partition_file(workspace.raw("observations"), extract_date))
    return IngestSummary(
        extract_date, rows.files_read, rows.stays.num_rows, rows.observations.num_rows, rows.unreadable, rows.warnings
    )


def _kept(workspace: Workspace, extract_date: date) -> IngestSummary:
    counts = [read_table(partition_file(workspace.raw(table), extract_date)).num_rows for table in TABLES]
    note = f"{extract_date}: the landing folder is gone; the raw partitions of its first night are used"
    return IngestSummary(extract_date, 0, counts[0], counts[1], (), (note,))


def read_unreadable_files(workspace: Workspace, extract_date: date) -> tuple[tuple[str, str], ...]:
    """(file, reason) of each file of a date that could not be read."""
    path = partition_file(workspace.quarantine("files"), extract_date)
    if not path.is_file():
        return ()
    return tuple((row["source_file"], row["reason"]) for row in read_table(path).to_pylist())
