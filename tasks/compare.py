"""Fit every model and baseline on the same stays."""

import logging
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.lake.files import Workspace
from medlstm.report.comparison import compare_night
from medlstm.settings.workspace import load_config
from medlstm.training.compare_models import Comparison
from tasks.progress import report_progress

logger = logging.getLogger("medlstm.tasks")


@task(name="compare", cache_policy=NO_CACHE)
def compare(workspace: str, as_of: date, names: list[str]) -> Comparison:
    """Compare on the sequences of `as_of`; no names means every model."""
    place = Workspace(Path(workspace))
    comparison = compare_night(
        place, as_of, load_config(place.root), names or None,
        lambda done, total: report_progress("compare", done, total),
    )  # fmt: skip
    for one in comparison.models:
        logger.info("compare %s: %s, MAE %.3f days, coverage %.3f, %.1f s", as_of, one.name, one.mae_days,
                    one.coverage, one.seconds_train)  # fmt: skip
    return comparison
