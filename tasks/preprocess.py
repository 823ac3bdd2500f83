"""Turn admitted rows into sequences."""

import logging
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.cohort import Scope
from medlstm.config import load_config
from medlstm.lake import Workspace
from medlstm.sequences import SequenceSummary, build_sequences
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@task(name="preprocess", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def preprocess(workspace: str, as_of: date, scope: Scope) -> SequenceSummary:
    """Build the sequences of all stays known at `as_of`, or of the open ones only."""
    place = Workspace(Path(workspace))
    summary = build_sequences(place, as_of, load_config(place.root), scope)
    logger.info("preprocess %s: %d stays, %d open, %d bins, %d variables", as_of, summary.stays, summary.open_stays,
                summary.rows, summary.variables)  # fmt: skip
    return summary
