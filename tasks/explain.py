"""Show what the champion does inside."""

import logging
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.lake.files import Workspace
from medlstm.report.lstm_gates import GateSummary
from medlstm.report.lstm_gates import explain_gates as explain
from medlstm.settings.workspace import load_config
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@task(name="explain_gates", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def explain_gates(workspace: str, as_of: date) -> GateSummary:
    """Draw the gates of the champion of `as_of` over one of its open stays."""
    place = Workspace(Path(workspace))
    summary = explain(place, as_of, load_config(place.root))
    logger.info("explain %s: %d layers of %s, %.1g from the network's hidden states", as_of, summary.layers,
                summary.model_version, summary.hidden_difference)  # fmt: skip
    return summary
