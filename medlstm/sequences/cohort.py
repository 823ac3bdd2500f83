"""Who is in, as of a date: the newest known version of each stay, its censoring, and its split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.lake.compacted import dated_rows
from medlstm.lake.database import connect
from medlstm.lake.file_order import with_file_place
from medlstm.lake.files import Workspace, partitions_until
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
    workspace: Workspace,
    as_of: date,
    config: Config,
    scope: Scope = "all",
    known_as_of: date | None = None,
    among: Sequence[str] | None = None,
) -> Cohort:
    """The stays that the night `as_of` may know; `scope="open"` keeps only patients still in a bed, and `among` no
    others than these.

    `known_as_of`: for a backtest, the date up to which rows came; what they tell of the time after the night's cutoff
    is left out.
    """
    cutoff = config.cutoff_instant(as_of)
    newest, ended = _newest_stays(workspace, known_as_of or as_of, cutoff, config, scope, among)
    vanished = vanished_stays(read_listings(workspace, as_of, config))
    newest = _with_vanished(newest, vanished, config)
    standing = newest[newest["standing"]].drop(columns=["standing", "taken_back"]).reset_index(drop=True)
    frame = _with_censoring(standing, cutoff)
    if known_as_of and "died" in frame:
        frame["died"] = frame["died"].where(~frame["is_open"], None)
    others = _not_standing(newest)
    if scope == "open":
        others |= dict.fromkeys([*frame.loc[~frame["is_open"], "stay_id"], *ended], "stay_ended")
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


def _newest_stays(
    workspace: Workspace, as_of: date, cutoff: datetime, config: Config, scope: Scope, among: Sequence[str] | None
) -> tuple[pd.DataFrame, list[str]]:
    """The newest version of each stay; where only those in a bed are wanted, of those that have ended by what it says
    their ids alone."""
    partitions = partitions_until(workspace.admitted("stays"), as_of)
    if not partitions:
        return _no_stays(), []
    memory_limit_gb = config.workspace.memory_limit_gb / 2
    dated = dated_rows(workspace, "stays", partitions, memory_limit_gb)
    chosen = dated.sql if among is None else f"select * from ({dated.sql}) where stay_id in (select unnest($among))"
    # Where a row came from stands last, so that the order of a stay's columns does not hang on how they were read.
    rows = with_file_place(f"({chosen}) union all by name select null::boolean as retracted where false")
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
    parameters: dict[str, Any] = {**dated.parameters, "cutoff": instant_us(cutoff)}
    if among is not None:
        parameters["among"] = list(among)
    with connect(workspace, memory_limit_gb) as database:
        table = database.sql(query, params=parameters).to_arrow_table()
    ended: list[str] = []
    if scope == "open":
        limit = pa.scalar(cutoff, pa.timestamp("us", "UTC"))
        known_end = pc.fill_null(pc.less(table.column("discharged_at"), limit), False)
        over = pc.and_(table.column("standing"), known_end)
        ended = table.filter(over).column("stay_id").to_pylist()
        table = table.filter(pc.invert(over))
    stays = table.to_pandas()
    # DuckDB hands timestamps over in the machine's own zone.
    utc = {name: stays[name].dt.tz_convert("UTC") for name in ("admitted_at", "discharged_at")}
    return stays.assign(**utc), ended


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
