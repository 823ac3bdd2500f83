"""Open stays of which nothing has been heard for long: their discharge may never have been sent."""

from datetime import timedelta

import pandas as pd

from medlstm.lake.database import connect
from medlstm.lake.files import Workspace, partition_dates, partition_file
from medlstm.sequences.cohort import Cohort
from medlstm.settings.workspace import Config


def silent_stays(workspace: Workspace, cohort: Cohort, stays: pd.DataFrame, config: Config) -> int:
    """How many of the open stays (of a cohort's frame) have had no row of any table for contracts.max_silent_days."""
    since = cohort.as_of - timedelta(days=config.contracts.max_silent_days)
    if stays.empty:
        return 0
    heard = pd.to_datetime(stays["extract_date"]).dt.date > since
    candidates = stays.loc[stays["is_open"] & ~heard, "stay_id"]
    if candidates.empty:
        return 0
    folder = workspace.admitted("observations")
    days = [day for day in partition_dates(folder) if since < day <= cohort.as_of]
    if not days:
        return len(candidates)
    query = "select distinct stay_id from read_parquet($paths, hive_partitioning = false)"
    with connect(workspace, config.workspace.memory_limit_gb / 2) as database:
        paths = [str(partition_file(folder, day)) for day in days]
        measured = database.execute(query, {"paths": paths}).fetchnumpy()["stay_id"]
    return int((~candidates.isin(measured)).sum())
