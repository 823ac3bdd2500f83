"""Hold raw rows against the contracts."""

import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from medlstm.contracts.raw_to_admitted import ValidationSummary, validate_dates
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import Config, load_config
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
    return _validated(place, days, days[-1], load_config(place.root))


@task(name="validate", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def validate_batch(workspace: str, days: list[date], night: date, config: Config) -> ValidationOutcome:
    """As `validate` for some of the dates, of which `night` is the one that stops the night, whatever the environment
    of the process says of the configuration."""
    return _validated(Workspace(Path(workspace)), days, night, config)


def _validated(place: Workspace, days: list[date], night: date, config: Config) -> ValidationOutcome:
    summaries, stopped = [], []
    for done, result in enumerate(validate_dates(place, days, config, runtime.flow_run.id), start=1):
        report_progress("validate", done, len(days))
        if isinstance(result, ValidationSummary):
            summaries.append(result)
            _log(result)
        elif result.extract_date == night:
            raise result.error
        else:
            stopped.append(f"{result.extract_date} is left out, its contract stopped it: {result.error}")
    return ValidationOutcome(tuple(summaries), tuple(stopped))


def _log(summary: ValidationSummary) -> None:
    for report in summary.reports:
        logger.info("validate %s %s: %d in = %d admitted + %d quarantined + %d exact duplicates", summary.extract_date,
                    report.table, report.rows_in, report.admitted, report.quarantined,
                    report.exact_duplicates)  # fmt: skip
