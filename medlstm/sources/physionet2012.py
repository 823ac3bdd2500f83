"""PhysioNet/CinC Challenge 2012: one text file per stay, in a folder or a .tar.gz, with an outcomes file.

Source: https://physionet.org/content/challenge-2012/1.0.0/, where -1 in a descriptor or in the length of stay
means that it was not recorded.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatch
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.errors import LandingError
from medlstm.lake.schemas import MINUTES_AFTER_ADMISSION
from medlstm.settings.workspace import Config
from medlstm.sources.infer_dates import iso_text
from medlstm.sources.physionet2012_records import (
    ARCHIVES,
    CATEGORICAL,
    NUMERIC,
    OUTCOMES,
    ChallengeRecords,
    as_arrow_text,
    read_records,
)
from medlstm.sources.source_batch import FilesRead, Landed, LandingFolder, RowBatch, UnreadableFile, unparsed_rows

OBSERVED_HOURS = 48


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


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Records dropped as they are. The challenge gives no dates, so a stay is placed by its drop.

    A record with an outcome ended as the extract date began; one without has been in a bed for 48 hours when
    the extract date ends. An outcome of -1 days is left for the contract to refuse.
    """
    files = {path: path.name for path in landing.files if path.name.endswith((".txt", *ARCHIVES))}
    tables = [path for path, name in files.items() if fnmatch(name, OUTCOMES)]
    recorded = [(landing.name(path), path) for path, name in files.items() if not fnmatch(name, OUTCOMES)]
    known = [pd.DataFrame({"stay_id": [], "los_days": [], "died": []}, dtype="str")]
    for path in tables:
        try:
            known.append(read_outcomes(path))
            yield FilesRead((landing.name(path),))
        except LandingError as error:
            yield UnreadableFile(landing.name(path), str(error).removeprefix(f"{path}: "))
    outcomes = pd.concat(known).drop_duplicates("stay_id")
    for records in read_records(recorded):
        stays = records.descriptors.merge(outcomes, on="stay_id", how="left", validate="m:1")
        stays = stays.assign(**_placed(stays, landing.extract_date, config))
        yield RowBatch("stays", _stays(stays, config))
        yield RowBatch("observations", _observations(records))
        for name, lines in records.unparsed().items():
            yield RowBatch("observations", unparsed_rows(name, lines))
        yield FilesRead(tuple(stays["source_file"]))
        yield from records.unreadable


def _placed(stays: pd.DataFrame, extract_date: date, config: Config) -> dict[str, pd.Series]:
    zone = ZoneInfo(config.workspace.timezone)
    start = pd.Timestamp(datetime.combine(extract_date, time(), zone)).tz_convert("UTC")
    end = pd.Timestamp(datetime.combine(extract_date + timedelta(days=1), time(), zone)).tz_convert("UTC")
    length = known_length(stays)
    admitted = (start - length).fillna(end - pd.Timedelta(hours=OBSERVED_HOURS))
    discharged = pd.Series(start, index=stays.index).where(length.notna())
    return {"admitted_at": admitted.dt.as_unit("us"), "discharged_at": discharged.dt.as_unit("us")}


def _stays(stays: pd.DataFrame, config: Config) -> pa.Table:
    """Raw stays from descriptors with admitted_at, discharged_at (aware), los_days and died (text); of the
    descriptors those that the workspace declares as features."""
    declared = {*config.features.numeric, *config.features.categorical}
    known = [name for name in (*NUMERIC, *CATEGORICAL) if name in declared]
    text = {name: as_arrow_text(stays[name]) for name in ("los_days", "died", *known)}
    return pa.table(
        {
            "stay_id": as_arrow_text(stays["stay_id"]),
            "patient_id": as_arrow_text(stays["stay_id"]),
            "admitted_at": iso_text(stays["admitted_at"]),
            "discharged_at": iso_text(stays["discharged_at"]),
            **text,
            "source_file": as_arrow_text(stays["source_file"]),
            "source_row": pa.array(np.ones(len(stays), dtype=np.int64)),
        }
    )


def _observations(records: ChallengeRecords) -> pa.Table:
    """Raw observations: the time as received, and in minutes after the admission."""
    measurements = records.measurements
    counted = measurements.column("minutes").cast(pa.int64()).dictionary_encode().combine_chunks()
    counted = pa.DictionaryArray.from_arrays(counted.indices, counted.dictionary.cast(pa.string()))
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
