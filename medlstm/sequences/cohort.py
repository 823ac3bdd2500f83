"""Who is in, as of a date: the newest known version of each stay, its censoring, and its split."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import numpy as np
import pandas as pd

from medlstm.lake.database import connect
from medlstm.lake.file_order import with_file_place
from medlstm.lake.files import Workspace, partitions_until
from medlstm.lake.partitions import DATED_ROWS_SQL
from medlstm.sequences.snapshots import read_listings, vanished_stays
from medlstm.settings.workspace import Config
from medlstm.values.instants import instant_us

Scope = Literal["open", "all"]
SPLITS = ("test", "calibration", "validation", "train")


@dataclass(frozen=True)
class Cohort:
    """Stays known at the end of `as_of`; in a backtest by rows that came up to `known_as_of`, which is later.

    `frame` has one row a stay, sorted by stay_id: stay_id, patient_id, admitted_at, end_at (discharge, or
    the cutoff while open), is_open, duration_hours (admission to end_at), split, and the static features. `others`:
    the stays that are known, but not in `frame`, by stay_id with the kind of the ledger that their observations are.
    `vanished`: stays that a snapshot no longer listed, and the date of it.
    """

    as_of: date
    cutoff: datetime
    frame: pd.DataFrame
    others: Mapping[str, str]
    known_as_of: date
    vanished: Mapping[str, date]


def load_cohort(
    workspace: Workspace, as_of: date, config: Config, scope: Scope = "all", known_as_of: date | None = None
) -> Cohort:
    """The stays that the night `as_of` may know; `scope="open"` keeps only patients still in a bed.

    `known_as_of`: for a backtest, the date up to which rows came; what they tell of the time after the night's cutoff
    is left out.
    """
    cutoff = config.cutoff_instant(as_of)
    newest = _newest_stays(workspace, known_as_of or as_of, cutoff, config)
    vanished = vanished_stays(read_listings(workspace, as_of, config))
    newest = _with_vanished(newest, vanished, config)
    standing = newest[newest["standing"]].drop(columns=["standing", "taken_back"]).reset_index(drop=True)
    frame = _with_censoring(standing, cutoff)
    if known_as_of and "died" in frame:
        frame["died"] = frame["died"].where(~frame["is_open"], None)
    others = _not_standing(newest)
    if scope == "open":
        others |= dict.fromkeys(frame.loc[~frame["is_open"], "stay_id"], "stay_ended")
        frame = frame[frame["is_open"]].reset_index(drop=True)
    frame["split"] = assign_splits(frame["patient_id"], config)
    left = {stay: day for stay, (day, _) in vanished.items()}
    return Cohort(as_of, cutoff, frame, others, known_as_of or as_of, left)


def _with_vanished(newest: pd.DataFrame, vanished: dict[str, tuple[date, bool]], config: Config) -> pd.DataFrame:
    """A stay that a snapshot no longer lists ended before the cutoff of that snapshot's night at the latest; one that
    was withdrawn, or had not begun by then, is none."""
    if not vanished:
        return newest
    last_instant = {day: last_instant_before_cutoff(day, config) for day, _ in vanished.values()}
    ends = {stay: last_instant[day] for stay, (day, _) in vanished.items()}
    withdrawn = [stay for stay, (_, was_withdrawn) in vanished.items() if was_withdrawn]
    end = pd.to_datetime(newest["stay_id"].map(ends), utc=True).dt.as_unit("us")
    sooner = end.notna() & ~(newest["discharged_at"] <= end)
    never = sooner & (newest["stay_id"].isin(withdrawn) | (newest["admitted_at"] > end))
    return newest.assign(
        discharged_at=newest["discharged_at"].where(~sooner, end),
        taken_back=newest["taken_back"] | never,
        standing=newest["standing"] & ~never,
    )


def last_instant_before_cutoff(day: date, config: Config) -> pd.Timestamp:
    """When a stay that the snapshot of a date no longer lists ended at the latest."""
    return pd.Timestamp(config.cutoff_instant(day)).tz_convert("UTC") - pd.Timedelta(1, "us")


def _not_standing(newest: pd.DataFrame) -> dict[str, str]:
    """Stays that were taken back, and those that begin after the cutoff."""
    rest = newest[~newest["standing"]]
    kinds = np.where(rest["admitted_at"].isna() | rest["taken_back"], "stay_taken_back", "stay_not_begun")
    return dict(zip(rest["stay_id"], kinds.tolist(), strict=True))


def _newest_stays(workspace: Workspace, as_of: date, cutoff: datetime, config: Config) -> pd.DataFrame:
    partitions = partitions_until(workspace.admitted("stays"), as_of)
    if not partitions:
        return _no_stays()
    # Where a row came from stands last, so that the order of a stay's columns does not hang on how they were read.
    rows = with_file_place(f"{DATED_ROWS_SQL} union all by name select null::boolean as retracted where false")
    query = f"""
        select * exclude (version, retracted, extract_date, source_file, source_row, file_place),
            extract_date, source_file, source_row, coalesce(retracted, false) as taken_back,
            not taken_back and coalesce(epoch_us(admitted_at) < $cutoff, false) as standing
        from (
            select *, row_number() over (
                partition by stay_id order by extract_date desc, file_place desc, source_row desc
            ) as version
            from ({rows})
        )
        where version = 1
        order by stay_id
    """
    with connect(workspace, config.workspace.memory_limit_gb / 2) as database:
        parameters = {"paths": [str(path) for path in partitions], "cutoff": instant_us(cutoff)}
        stays = database.sql(query, params=parameters).to_arrow_table().to_pandas()
    # DuckDB hands timestamps over in the machine's own zone.
    return stays.assign(**{name: stays[name].dt.tz_convert("UTC") for name in ("admitted_at", "discharged_at")})


def _no_stays() -> pd.DataFrame:
    moment = pd.Series([], dtype="datetime64[us, UTC]")
    text, flag = pd.Series([], dtype="str"), pd.Series([], dtype="bool")
    return pd.DataFrame(
        {"stay_id": text, "patient_id": text, "admitted_at": moment, "discharged_at": moment,
         "taken_back": flag, "standing": flag}
    )  # fmt: skip


def _with_censoring(stays: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    limit = pd.Timestamp(cutoff).tz_convert("UTC").as_unit("us")
    known_end = stays["discharged_at"].where(stays["discharged_at"] < limit)
    end_at = known_end.fillna(limit)
    duration_hours = (end_at - stays["admitted_at"]).dt.total_seconds() / 3600
    return stays.assign(end_at=end_at, is_open=known_end.isna(), duration_hours=duration_hours)


def assign_splits(patient_ids: pd.Series, config: Config) -> pd.Series:
    """The split of each stay by a hash of its patient and the seed, so that it never moves between nights."""
    training = config.training
    bounds = np.cumsum([training.test_share, training.calibration_share, training.validation_share])
    position = np.array([_unit_hash(patient, training.seed) for patient in patient_ids], dtype=np.float64)
    return pd.Series(np.array(SPLITS)[np.searchsorted(bounds, position, side="right")], index=patient_ids.index)


def _unit_hash(patient_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
