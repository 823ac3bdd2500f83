"""Take landing folders in."""

import logging
from datetime import date
from pathlib import Path

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from medlstm.config import load_config
from medlstm.ingest import IngestSummary, ingest_dates
from medlstm.lake import Workspace
from tasks.fetch import fetch_if_due
from tasks.progress import report_progress
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@task(name="ingest", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def ingest(workspace: str, days: list[date]) -> list[IngestSummary]:
    """Replace the raw partitions of each date by what its landing folder holds, or the workspace's database."""
    place = Workspace(Path(workspace))
    config = load_config(place.root)
    for day in days:
        fetch_if_due(place, day, config)
    summaries = []
    for summary in ingest_dates(place, days, config, runtime.flow_run.id):
        summaries.append(summary)
        logger.info("ingest %s: %d files, %d stays, %d observations, %d not readable", summary.extract_date,
                    summary.files_read, summary.stays, summary.observations, len(summary.unreadable))  # fmt: skip
        report_progress("ingest", len(summaries), len(days))
    return summaries
