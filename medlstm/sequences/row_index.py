"""How many rows of which stay arrived on which date, so that a night need not read the rows that it knows already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from medlstm.lake.compacted import dated_rows
from medlstm.lake.database import connect
from medlstm.lake.files import Workspace
from medlstm.lake.partitions import DATED_ROWS_SQL
from medlstm.sequences.row_ledger import UNKNOWN_STAY, RowCounts

_MARKED = f"({DATED_ROWS_SQL}) union all by name (select null::boolean as retracted where false)"
# What binning keeps (`observation_batches`): a row with a time, and a value or the mark of a retraction.
_KEPT_SQL = """
    observed_at is not null and (coalesce(retracted, false) or coalesce(not isnan(value), false))
"""
_BY_STAY = f"""
    select stay_id, extract_date, count(*) filter (where {_KEPT_SQL}) as kept,
        count(*) filter (where not ({_KEPT_SQL})) as dropped
    from ({_MARKED}) group by stay_id, extract_date order by extract_date, stay_id
"""
_BY_VARIABLE = f"select distinct extract_date, variable from ({DATED_ROWS_SQL}) order by extract_date, variable"


@dataclass(frozen=True)
class RowIndex:
    """Of r pairs of a stay and an extract date: `stay` [r] is the stay's number in a cohort's frame (-1: not in it),
    `stay_id` and `day` [r] (ISO text) name them, `kept` [r] rows say something, and `dropped` [r] have no value or
    time."""

    stay: np.ndarray
    stay_id: np.ndarray
    day: np.ndarray
    kept: np.ndarray
    dropped: np.ndarray

    def last_day(self, stays: int) -> np.ndarray:
        """The date [stays], in days since 1970, on which the last rows of each stay of the frame came; -1: none."""
        last = np.full(stays, -1, dtype=np.int64)
        known = self.stay >= 0
        np.maximum.at(last, self.stay[known], self.day[known].astype("datetime64[D]").astype(np.int64))
        return last

    def days(self) -> list[date]:
        """All dates on which rows came, oldest first."""
        return sorted(date.fromisoformat(day) for day in set(self.day.tolist()))

    def days_of(self, stays: np.ndarray) -> set[date]:
        """The dates on which rows of these stays of the frame came."""
        return {date.fromisoformat(day) for day in np.unique(self.day[np.isin(self.stay, stays)])}

    def others(self, kinds: Mapping[str, str]) -> RowCounts:
        """The rows of stays that are not in the frame, by the `kinds` of the stays that are known all the same, rows
        that say nothing, and the rows of each date."""
        counts = RowCounts()
        outside = np.flatnonzero(self.stay < 0)
        kind = np.array([kinds.get(stay, UNKNOWN_STAY) for stay in self.stay_id[outside]], dtype=object)
        for name in np.unique(kind.astype(str)):
            counts.others[name] += int(self.kept[outside[kind == name]].sum())
        counts.others["without_value"] += int(self.dropped.sum())
        unknown = np.zeros(len(self.stay), dtype=bool)
        unknown[outside[kind == UNKNOWN_STAY]] = True
        table = pd.DataFrame({"day": self.day, "rows": self.kept + self.dropped, "lost": self.kept * unknown})
        for day, rows, lost in table.groupby("day", sort=True).sum().itertuples():
            counts.note_date(day, int(rows), int(lost))
        return counts


def read_row_index(
    workspace: Workspace, partitions: Sequence[Path], stay_ids: pd.Series, memory_limit_gb: float
) -> RowIndex:
    """The index of admitted partitions of observations, oldest first, with the numbers of the stays in a frame."""
    if not partitions:
        return RowIndex(*(np.empty(0, dtype=kind) for kind in (np.int64, object, object, np.int64, np.int64)))
    rows = dated_rows(workspace, "observations_by_stay", partitions, memory_limit_gb, _BY_STAY)
    with connect(workspace, memory_limit_gb) as database:
        table = database.sql(
            f"select stay_id, strftime(extract_date, '%Y-%m-%d') as day, kept, dropped from ({rows.sql})",
            params=rows.parameters,
        ).to_arrow_table().to_pandas()  # fmt: skip
    named = table["stay_id"].astype(object)
    return RowIndex(
        stay=pd.Index(stay_ids.astype(object)).get_indexer(pd.Index(named)),
        stay_id=named.to_numpy(dtype=object),
        day=table["day"].to_numpy(dtype=object),
        kept=table["kept"].to_numpy(dtype=np.int64),
        dropped=table["dropped"].to_numpy(dtype=np.int64),
    )


def read_variables(workspace: Workspace, partitions: Sequence[Path], memory_limit_gb: float) -> list[str]:
    """The variables of admitted partitions of observations, by name."""
    rows = dated_rows(workspace, "observations_by_variable", partitions, memory_limit_gb, _BY_VARIABLE)
    with connect(workspace, memory_limit_gb) as database:
        query = f"select distinct variable from ({rows.sql}) order by variable"
        return [row[0] for row in database.sql(query, params=rows.parameters).fetchall()]
