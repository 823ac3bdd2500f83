"""Score the patients in a bed."""

import logging
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.lake.files import Workspace
from medlstm.scoring.score_night import ScoreSummary, score_night
from medlstm.settings.workspace import load_config
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@task(name="score", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def score(workspace: str, as_of: date) -> ScoreSummary:
    """Replace the predictions of `as_of` by those of that date's champion."""
    place = Workspace(Path(workspace))
    summary = score_night(place, as_of, load_config(place.root))
    logger.info("score %s: %d stays with %s", as_of, summary.scored, summary.model_version)
    return summary
