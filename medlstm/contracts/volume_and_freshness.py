"""Is a feed as large, and as fresh, as it usually is?"""

import statistics
from dataclasses import dataclass
from datetime import date
from typing import Literal

from medlstm.contracts.results import DateCount
from medlstm.lake.files import Workspace, partition_dates, partition_file, row_count
from medlstm.settings.workspace import Config

_FEWEST_DATES = 3


@dataclass(frozen=True)
class FeedFinding:
    """What is odd about a date's feed of one table, in counts and hours only; `action` as configured."""

    message: str
    action: Literal["warn", "stop"]


def feed_findings(
    workspace: Workspace, table: str, day: date, count: DateCount, config: Config
) -> tuple[FeedFinding, ...]:
    """Volume against the raw rows of the dates before (so that a night run again finds the same), and freshness.

    Freshness is asked of observations alone: a day without an admission is no fault.
    """
    found = []
    contracts = config.contracts
    if contracts.volume_action != "off":
        usual = _usual_rows(workspace, table, day, config)
        if usual is not None and count.rows_in < contracts.min_volume_share * usual:
            message = f"{day}: {table} has {count.rows_in} rows, usual are {usual:.0f}"
            found.append(FeedFinding(message, contracts.volume_action))
    if contracts.freshness_action != "off" and table == "observations" and count.admitted:
        silent_hours = -count.newest_hours_ahead
        if silent_hours > contracts.max_silence_hours:
            message = f"{day}: the newest of the {table} is {silent_hours:.0f} hours older than the end of the date"
            found.append(FeedFinding(message, contracts.freshness_action))
    return tuple(found)


def _usual_rows(workspace: Workspace, table: str, day: date, config: Config) -> float | None:
    """The median of the dates before, None where there are too few of them."""
    folder = workspace.raw(table)
    earlier = [one for one in partition_dates(folder) if one < day][-config.contracts.volume_dates :]
    if len(earlier) < _FEWEST_DATES:
        return None
    return float(statistics.median(row_count(partition_file(folder, one)) for one in earlier))
