"""An export of any workspace's source as dated drops: each row on the date on which what it tells had happened."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.errors import MedlstmError
from medlstm.history.place_export import place_export
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.database import connect
from medlstm.lake.file_order import file_places
from medlstm.lake.files import StagedTables, Workspace, partition_file, read_table, write_table
from medlstm.lake.schemas import OBSERVATION_CORE
from medlstm.settings.workspace import CONFIG_NAME, Config
from medlstm.sources.infer_dates import iso_text
from medlstm.sources.read_landing import REPLAYED_FOLDER

# What lies after the last drop is left out and counted, and is no reading from the future.
_AFTER_ALL = timedelta(days=36525)
_TEXT = pa.schema([pa.field(name, pa.string()) for name in OBSERVATION_CORE])
# A measurement belongs to the drop of the first date whose cutoff is after it.
_BY_DAY = """
    copy (
        select stay_id, strftime(make_timestamp(moment_us), '%Y-%m-%dT%H:%M:%S.%fZ') as observed_at, variable,
            value::varchar as value, day
        from (
            select *, epoch_us(observed_at) as moment_us
            from read_parquet($path, hive_partitioning = false)
            where not coalesce(retracted, false)
        )
        asof join cutoffs on moment_us < cutoffs.ends
    ) to '{folder}' (format parquet, partition_by (day))
"""


@dataclass(frozen=True)
class WorkspaceReplay:
    """What was written where: counts only. `quarantined` rows of the export are in no drop."""

    first_date: date
    last_date: date
    files: int
    rows_in: int
    quarantined: int
    stays: int
    stays_after_the_last_date: int
    observations: int
    observations_after_the_last_date: int


def replay_workspace(
    workspace: Workspace,
    sources: Sequence[str],
    start: date,
    days: int,
    config: Config,
    on_day: Callable[[int, int], None] | None = None,
) -> WorkspaceReplay:
    """Take files (patterns, folders) in by the workspace's own mapping and contracts, and write `landing/<date>` for
    `days` dates from `start`.

    Times stay as they are: the first drop holds all that had happened by its cutoff, each later one what happened since
    the drop before. A stay is delivered as open when it began and again when it ended. Statics are those of the export,
    whenever they became known. Raises ContractStopped where the contracts refuse the export.
    """
    last = start + timedelta(days=days - 1)
    scratch = Workspace(workspace.scratch / "replay")
    shutil.rmtree(scratch.root, ignore_errors=True)
    scratch.root.mkdir(parents=True)
    shutil.copy2(workspace.root / CONFIG_NAME, scratch.root / CONFIG_NAME)
    own = _as_one_export(workspace, config)
    taken_in_as = last + _AFTER_ALL
    placed = place_export(scratch, sources, taken_in_as)
    ingest_date(scratch, taken_in_as, own)
    reports = validate_date(scratch, taken_in_as, own).reports
    dates = [start + timedelta(days=offset) for offset in range(days)]
    cutoffs = pd.DatetimeIndex([config.cutoff_instant(day) for day in dates]).tz_convert("UTC").as_unit("us")
    stays = _newest_stays(scratch, taken_in_as)
    begun, ended = (cutoffs.searchsorted(stays[name], side="right") for name in ("admitted_at", "discharged_at"))
    ended = pd.Series(ended).where(stays["discharged_at"].notna(), days).to_numpy()
    if not (begun < days).any():
        raise MedlstmError(
            f"no stay of the export began by {last}; look at start and days, and at whether the source has dates"
        )
    by_day = _observations_by_day(scratch, taken_in_as, cutoffs, own)
    written = 0
    for offset, day in enumerate(dates):
        folder = workspace.landing(day) / REPLAYED_FOLDER
        of_day = stays[(begun == offset) | ((ended == offset) & (begun <= offset))]
        write_table(_as_delivered(of_day, ended[of_day.index] <= offset), folder / "stays.parquet")
        written += _land_observations(by_day / f"day={offset}", folder / "observations.parquet")
        if on_day:
            on_day(offset + 1, days)
    shutil.rmtree(scratch.root)
    admitted = next(one.admitted for one in reports if one.table == "observations")
    return WorkspaceReplay(
        first_date=start,
        last_date=last,
        files=placed.files,
        rows_in=sum(one.rows_in for one in reports),
        quarantined=sum(one.quarantined for one in reports),
        stays=int((begun < days).sum()),
        stays_after_the_last_date=int((begun >= days).sum()),
        observations=written,
        observations_after_the_last_date=admitted - written,
    )


def _as_one_export(workspace: Workspace, config: Config) -> Config:
    """For a lake elsewhere, whose one date says nothing of how feeds usually are."""
    folder = config.contracts.suites_folder
    changes = {
        "suites_folder": folder and str((workspace.root / folder).resolve()),
        "volume_action": "off",
        "freshness_action": "off",
    }
    return config.model_copy(update={"contracts": config.contracts.model_copy(update=changes)})


def _newest_stays(scratch: Workspace, day: date) -> pd.DataFrame:
    """The last version of each stay that was not taken back, sorted by stay_id."""
    rows = read_table(partition_file(scratch.admitted("stays"), day)).to_pandas()
    rows = rows.assign(file_place=rows["source_file"].map(file_places(rows["source_file"].unique())))
    rows = rows.sort_values(["stay_id", "file_place", "source_row"]).drop_duplicates("stay_id", keep="last")
    taken_back = rows["retracted"].fillna(False).astype(bool)
    marks = ["retracted", "extract_date", "source_file", "source_row", "file_place"]
    return rows[~taken_back].drop(columns=marks).reset_index(drop=True)


def _as_delivered(stays: pd.DataFrame, has_ended: np.ndarray) -> pa.Table:
    """Rows of a drop, all text: one that has not ended has neither a discharge nor an outcome."""
    columns: dict[str, pa.Array] = {}
    for name, column in stays.items():
        known = column.where(has_ended) if name in ("discharged_at", "died") else column
        is_time = name in ("admitted_at", "discharged_at")
        columns[str(name)] = iso_text(known) if is_time else pa.array(known, from_pandas=True).cast(pa.string())
    return pa.table(columns)


def _observations_by_day(scratch: Workspace, day: date, cutoffs: pd.DatetimeIndex, config: Config) -> Path:
    """Write the observations as one folder for each drop, `day=<number from 0>`; returns where these are."""
    folder = scratch.root / "by_day"
    path = partition_file(scratch.admitted("observations"), day)
    with connect(scratch, config.workspace.memory_limit_gb / 2) as database:
        # One thread: the rows of a drop keep their order, so that equal files give equal drops.
        database.execute("set threads = 1").fetchall()
        database.register("ends", pa.table({"ends": cutoffs.asi8, "day": list(range(len(cutoffs)))}))
        database.execute("create temp table cutoffs as select * from ends").fetchall()
        quoted = str(folder).replace("'", "''")
        database.execute(_BY_DAY.format(folder=quoted), {"path": str(path)}).fetchall()
    return folder


def _land_observations(folder: Path, target: Path) -> int:
    rows = 0
    with StagedTables() as staged:
        staged.open(target, _TEXT)
        for path in sorted(folder.glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=list(OBSERVATION_CORE)):
                    staged.write(target, pa.Table.from_batches([batch]).cast(_TEXT))
                    rows += batch.num_rows
        staged.commit([target])
    return rows
