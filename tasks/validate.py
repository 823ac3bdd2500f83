"""Hold raw rows against the contracts."""

import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.config import load_config
from medlstm.errors import ContractStopped
from medlstm.lake import Workspace
from medlstm.validate import ValidationSummary, validate_date
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
    for done, day in enumerate(days, start=1):
        try:
            summaries.append(validate_date(place, day, config))
        except ContractStopped as error:
            if day == days[-1]:
                raise
            stopped.append(f"{day} is left out, its contract stopped it: {error}")
            continue
        finally:
            report_progress("validate", done, len(days))
        for report in summaries[-1].reports:
            logger.info("validate %s %s: %d in = %d admitted + %d quarantined + %d exact duplicates", day,
                        report.table, report.rows_in, report.admitted, report.quarantined,
                        report.exact_duplicates)  # fmt: skip
    return ValidationOutcome(tuple(summaries), tuple(stopped))
