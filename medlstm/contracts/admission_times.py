"""When stays were admitted, for observations whose times are counted from the admission."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from medlstm.contracts.raw_chunks import RawPartition, raw_chunks
from medlstm.contracts.text_column import TextColumn
from medlstm.contracts.typed_columns import MISSING_TIME, Admissions, cast_stays
from medlstm.lake.database import connect
from medlstm.lake.file_order import with_file_place
from medlstm.lake.files import Workspace, partition_file, partitions_until
from medlstm.lake.partitions import DATED_ROWS_SQL
from medlstm.settings.workspace import Config

_ROWS = 1_000_000


def no_admissions(stay_ids: np.ndarray) -> np.ndarray:
    """For tables without such times."""
    return np.full(len(stay_ids), MISSING_TIME, dtype=np.int64)


def admissions_of(workspace: Workspace, extract_date: date, config: Config) -> Admissions:
    """By the raw stays of the date, the last row of a stay winning; else by the newest admitted one before the date."""
    known = pd.concat([_admitted_before(workspace, extract_date), _raw_of(workspace, extract_date, config)])
    known = known[~known.index.duplicated(keep="last")]

    def lookup(stay_ids: np.ndarray) -> np.ndarray:
        position = known.index.get_indexer(pd.Index(stay_ids, dtype="str"))
        return np.append(known.to_numpy(dtype=np.int64), MISSING_TIME)[position]

    return lookup


def _raw_of(workspace: Workspace, extract_date: date, config: Config) -> pd.Series:
    partition = RawPartition(extract_date, partition_file(workspace.raw("stays"), extract_date))
    parts = []
    for chunk in raw_chunks([partition], _ROWS, workspace.scratch):
        typed = cast_stays(chunk, config)
        stays, moments = typed.columns["stay_id"], typed.columns["admitted_at"]
        assert isinstance(stays, TextColumn)
        assert isinstance(moments, np.ndarray)
        known = ~stays.missing() & (moments != MISSING_TIME)
        parts.append(pd.Series(moments[known], index=pd.Index(stays.distinct[stays.codes[known]], dtype="str")))
    return pd.concat(parts) if parts else _none()


def _none() -> pd.Series:
    return pd.Series([], index=pd.Index([], dtype="str"), dtype="int64")


def _admitted_before(workspace: Workspace, extract_date: date) -> pd.Series:
    paths = partitions_until(workspace.admitted("stays"), extract_date - timedelta(days=1))
    if not paths:
        return _none()
    query = f"""
        select stay_id, arg_max(epoch_us(admitted_at), (extract_date, file_place, source_row)) as admitted_us
        from ({with_file_place(DATED_ROWS_SQL)})
        where admitted_at is not null group by stay_id order by stay_id
    """
    with connect(workspace) as database:
        found = database.execute(query, {"paths": [str(path) for path in paths]}).fetchnumpy()
    return pd.Series(np.asarray(found["admitted_us"], dtype=np.int64), index=pd.Index(found["stay_id"], dtype="str"))
