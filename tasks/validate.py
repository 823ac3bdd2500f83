"""Hold raw rows against the contracts."""

import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from medlstm.config import load_config
from medlstm.lake import Workspace
from medlstm.validate import ValidationSummary, validate_dates
from tasks.progress import report_progress
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@dataclass(frozen=True)
class ValidationOutcome:
    """Validated dates, and earlier dates that a contract stopped, as messages."""

    summaries: tuple[ValidationSummary, ...]
    stopped: tuple[str, ...]


@task(name="validate", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def validate(workspace: str, days: list[date]) -> ValidationOutcome:
    """Admit or quarantine the raw rows of each date; a contract that stops the last date stops the night."""
    place = Workspace(Path(workspace))
    config = load_config(place.root)
    summaries, stopped = [], []
    for done, result in enumerate(validate_dates(place, days, config, runtime.flow_run.id), start=1):
        report_progress("validate", done, len(days))
        if isinstance(result, ValidationSummary):
            summaries.append(result)
            _log(result)
        elif result.extract_date == days[-1]:
            raise result.error
        else:
            stopped.append(f"{result.extract_date} is left out, its contract stopped it: {result.error}")
    return ValidationOutcome(tuple(summaries), tuple(stopped))


def _log(summary: ValidationSummary) -> None:
    for report in summary.reports:
        logger.info("validate %s %s: %d in = %d admitted + %d quarantined + %d exact duplicates", summary.extract_date,
                    report.table, report.rows_in, report.admitted, report.quarantined,
                    report.exact_duplicates)  # fmt: skip
