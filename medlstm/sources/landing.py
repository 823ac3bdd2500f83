"""One date's landing folder to raw rows, by the source that the workspace declares."""

from datetime import date
from pathlib import Path

from medlstm.config import Config, CsvFileMapping, CsvSource
from medlstm.errors import LandingError
from medlstm.sources.csv import read_csv_landing
from medlstm.sources.landed import LandedRows
from medlstm.sources.physionet2012 import read_physionet2012_landing

# What `medlstm replay` writes: canonical columns, dated.
REPLAYED = [
    CsvFileMapping(pattern="stays.parquet", table="stays"),
    CsvFileMapping(pattern="observations.parquet", table="observations"),
]


def read_landing(folder: Path, extract_date: date, config: Config) -> LandedRows:
    """Read every file of `folder` that the source knows.

    Raises LandingError when the folder does not exist; an empty one is a warning.
    """
    if not folder.is_dir():
        raise LandingError(
            f"{folder}: no such folder; nothing was delivered for {extract_date}. Create it (empty, if there was "
            "nothing to deliver) and run the night again"
        )
    files = landing_files(folder)
    if isinstance(config.source, CsvSource):
        return read_csv_landing(folder, files, config.source.files, extract_date, config)
    replayed = [path for path in files if path.name in (one.pattern for one in REPLAYED)]
    if replayed:
        return read_csv_landing(folder, files, REPLAYED, extract_date, config)
    return read_physionet2012_landing(folder, files, extract_date, config)


def landing_files(folder: Path) -> list[Path]:
    """The files below `folder`, sorted; hidden ones (a transfer in progress) and links are left alone."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and not any(
            part.startswith(".") for part in path.relative_to(folder).parts
        )
    )
