"""Run past nights again, one after the other, oldest first."""

import logging
from dataclasses import dataclass
from datetime import date, timedelta

from prefect import flow

from flows.failures import failure_text
from flows.nightly import NightSummary, nightly
from medlstm.errors import ConfigError
from tasks.progress import report_progress

logger = logging.getLogger("medlstm.backfill")


@dataclass(frozen=True)
class BackfillSummary:
    """The nights that ended, and those that did not with the reason."""

    nights: tuple[NightSummary, ...]
    failed: tuple[tuple[date, str], ...]


@flow(name="backfill", flow_run_name="backfill {start} to {end}")
def backfill(workspace: str, start: date, end: date) -> BackfillSummary:
    """Run every night from `start` to `end`; one that fails does not keep the next from running.

    A night's files are replaced atomically, so a backfill that was killed is simply run again.
    """
    if end < start:
        raise ConfigError(f"end = {end}: must not be before start = {start}")
    days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
    nights, failed = [], []
    for done, day in enumerate(days, start=1):
        state = nightly(workspace, day, return_state=True)
        if state.is_completed():
            nights.append(state.result())
        else:
            failed.append((day, failure_text(state)))
            logger.error("backfill: the night %s failed: %s", day, failure_text(state))
        report_progress("backfill", done, len(days))
    return BackfillSummary(tuple(nights), tuple(failed))
