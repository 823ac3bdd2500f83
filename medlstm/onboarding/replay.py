"""A historical data set as dated landing drops, as if its stays happened within a span of dates."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.lake.files import Workspace, write_table
from medlstm.lake.schemas import OBSERVATION_CORE
from medlstm.settings.workspace import Config
from medlstm.sources.infer_dates import iso_text
from medlstm.sources.physionet2012 import known_length, read_outcomes
from medlstm.sources.physionet2012_records import (
    CATEGORICAL,
    LABORATORY,
    NUMERIC,
    ChallengeRecords,
    read_records,
    record_files,
)
from medlstm.values.instants import epoch_us

_MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True)
class ReplaySummary:
    """What was written where: counts only."""

    first_date: date
    last_date: date
    stays: int
    left_out_unknown_length: int
    left_out_no_outcome: int
    unreadable_files: int
    observations: int
    observations_after_the_last_date: int


def replay_physionet2012(
    places: list[Path],
    outcomes_files: list[Path],
    workspace: Workspace,
    start: date,
    days: int,
    config: Config,
    on_day: Callable[[int, int], None] | None = None,
    lab_hours_late: float = 0.0,
) -> ReplaySummary:
    """Write `landing/<date>` for `days` dates from `start`: stays.parquet and observations.parquet, all text.

    Each stay is admitted at a minute given by a hash of its identifier; it is delivered on that date as open and
    again on the date of its discharge; each measurement on its own date, those of the laboratory on the date of
    `lab_hours_late` after it. Stays whose length is unknown (-1), or which have no outcome, are left out and counted.
    """
    records = list(read_records([file for place in places for file in record_files(place)]))
    outcomes = pd.concat([read_outcomes(path) for path in outcomes_files])
    descriptors = pd.concat([one.descriptors for one in records], ignore_index=True)
    merged = descriptors.merge(outcomes, on="stay_id", how="left", validate="m:1", indicator=True)
    length = known_length(merged)
    zone = ZoneInfo(config.workspace.timezone)
    stays = merged[length.notna()].drop(columns="_merge").reset_index(drop=True)
    admitted = _admissions(stays["stay_id"], datetime.combine(start, time(), zone), days)
    stays = stays.assign(admitted_at=admitted, discharged_at=admitted + length[length.notna()].to_numpy())
    observations = _observations(records, stays)
    is_lab = pc.is_in(observations.column("variable"), pa.array(LABORATORY)).to_numpy(zero_copy_only=False)
    late = pd.to_timedelta(np.where(is_lab, lab_hours_late, 0.0), unit="h")
    day = _days_from(observations.column("observed_at"), late, start, zone)
    written = 0
    for offset in range(days):
        folder = workspace.landing(start + timedelta(days=offset))
        write_table(_stays_of_day(stays, start + timedelta(days=offset), zone), folder / "stays.parquet")
        of_day = observations.filter(pa.array(day == offset))
        write_table(of_day, folder / "observations.parquet")
        written += of_day.num_rows
        if on_day:
            on_day(offset + 1, days)
    return ReplaySummary(
        first_date=start,
        last_date=start + timedelta(days=days - 1),
        stays=len(stays),
        left_out_unknown_length=int((length.isna() & (merged["_merge"] == "both")).sum()),
        left_out_no_outcome=int((merged["_merge"] == "left_only").sum()),
        unreadable_files=sum(len(one.unreadable) for one in records),
        observations=written,
        observations_after_the_last_date=observations.num_rows - written,
    )


def _admissions(stay_ids: pd.Series, start: datetime, days: int) -> pd.Series:
    minutes = [
        int.from_bytes(hashlib.sha256(stay.encode()).digest()[:8], "big") % (days * _MINUTES_PER_DAY)
        for stay in stay_ids
    ]
    first = pd.Timestamp(start).tz_convert("UTC")
    return pd.Series(first + pd.to_timedelta(minutes, unit="min"), index=stay_ids.index).dt.as_unit("us")


def _observations(records: list[ChallengeRecords], stays: pd.DataFrame) -> pa.Table:
    """Measurements of the stays at hand, at admission + minutes, in the order of their files.

    A line that could not be parsed is kept whole in the time column.
    """
    lookup = pd.Index(stays["stay_id"])
    admitted = epoch_us(stays["admitted_at"])
    tables = []
    for one in records:
        position = lookup.get_indexer(one.measurements.column("stay_id").to_pandas().astype("str"))
        dated = _dated(one.measurements, admitted[position])
        tables.append(dated.filter(pa.array(position >= 0)))
    lines = [text for one in records for _, _, text in one.malformed]
    unparsed = {name: pa.array(lines if name == "observed_at" else [None] * len(lines), pa.string())
                for name in OBSERVATION_CORE}  # fmt: skip
    return pa.concat_tables([*tables, pa.table(unparsed)])


def _dated(measurements: pa.Table, admitted_us: np.ndarray) -> pa.Table:
    minutes = measurements.column("minutes").to_numpy()
    known = ~np.isnan(minutes)
    moments = admitted_us + np.where(known, minutes, 0).astype(np.int64) * 60_000_000
    times = pa.array(moments, mask=~known).cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("s", tz="UTC"))
    texts = pc.coalesce(pc.strftime(times, format="%Y-%m-%dT%H:%M:%SZ"), measurements.column("time").cast(pa.string()))
    dated = measurements.set_column(measurements.column_names.index("time"), "observed_at", texts)
    return dated.select(list(OBSERVATION_CORE)).cast(pa.schema([(name, pa.string()) for name in OBSERVATION_CORE]))


def _days_from(observed_at: pa.ChunkedArray, late: pd.TimedeltaIndex, start: date, zone: ZoneInfo) -> np.ndarray:
    """Days from `start` to the local date of each arrival; what has no date goes with the first drop."""
    moments = pd.to_datetime(observed_at.to_pandas(), format="%Y-%m-%dT%H:%M:%SZ", utc=True, errors="coerce") + late
    local = moments.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    offset = (local - pd.Timestamp(start)).dt.days
    return offset.fillna(0).to_numpy(dtype=np.int64)


def _stays_of_day(stays: pd.DataFrame, day: date, zone: ZoneInfo) -> pa.Table:
    """The stays that were admitted or discharged on a date, as that date's extract knows them."""
    begin = pd.Timestamp(datetime.combine(day, time(), zone))
    end = pd.Timestamp(datetime.combine(day + timedelta(days=1), time(), zone))
    ended = (stays["discharged_at"] >= begin) & (stays["discharged_at"] < end)
    begun = (stays["admitted_at"] >= begin) & (stays["admitted_at"] < end)
    known = stays[begun | ended]
    open_still = ~ended[begun | ended]
    discharged = known["discharged_at"].where(~open_still)
    texts = {name: known[name] for name in ("stay_id", *NUMERIC, *CATEGORICAL)}
    columns = {name: pa.array(column.astype(object).where(column.notna(), None), pa.string())
               for name, column in texts.items()}  # fmt: skip
    died = pa.array(known["died"].where(~open_still).astype(object).where(~open_still, None), pa.string())
    columns |= {
        "patient_id": columns["stay_id"],
        "admitted_at": iso_text(known["admitted_at"]),
        "discharged_at": iso_text(discharged),
        "died": died,
    }
    return pa.table(columns).sort_by("stay_id")
