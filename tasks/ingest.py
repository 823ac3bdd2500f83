"""Take landing folders in."""

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from medlstm.ingest.landing_to_raw import (
    IngestSummary,
    PlannedDate,
    ingest_dates,
    ingest_planned,
    plan_dates,
)
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import Config, load_config
from tasks.fetch import fetch_if_due
from tasks.progress import report_progress
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@task(name="ingest", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def ingest(workspace: str, days: list[date]) -> list[IngestSummary]:
    """Replace the raw partitions of each date by what its landing folder holds, or the workspace's database."""
    place = Workspace(Path(workspace))
    config = load_config(place.root)
    _fetch(place, days, config)
    summaries = []
    for summary in ingest_dates(place, days, config, runtime.flow_run.id):
        summaries.append(summary)
        _log(summary)
        report_progress("ingest", len(summaries), len(days))
    return summaries


@task(name="plan_ingest", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def plan_ingest(workspace: str, days: list[date]) -> tuple[PlannedDate, ...]:
    """Fetch from the workspace's database, and say which files each date is to read; from then on, any process may
    take any of the dates in."""
    place = Workspace(Path(workspace))
    config = load_config(place.root)
    _fetch(place, days, config)
    return plan_dates(place, days, config)


@task(name="ingest", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def ingest_batch(workspace: str, planned: Sequence[PlannedDate], config: Config) -> list[IngestSummary]:
    """As `ingest` for planned dates, whatever the environment of the process says of the configuration."""
    place = Workspace(Path(workspace))
    summaries = []
    for one in planned:
        summaries.append(ingest_planned(place, one, config, runtime.flow_run.id))
        _log(summaries[-1])
    return summaries


def _fetch(place: Workspace, days: list[date], config: Config) -> None:
    for day in days:
        fetch_if_due(place, day, config)


def _log(summary: IngestSummary) -> None:
    logger.info("ingest %s: %d files, %d stays, %d observations, %d not readable", summary.extract_date,
                summary.files_read, summary.stays, summary.observations, len(summary.unreadable))  # fmt: skip
