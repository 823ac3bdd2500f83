"""Turn admitted rows into sequences."""

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from medlstm.lake.files import Workspace
from medlstm.sequences.build import SequenceSummary, ShardCounts, build_sequences, build_shards, finish_sequences
from medlstm.sequences.cohort import Scope
from medlstm.settings.workspace import Config, load_config
from tasks.retry import is_io_failure

logger = logging.getLogger("medlstm.tasks")


@task(name="preprocess", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def preprocess(workspace: str, as_of: date, scope: Scope) -> SequenceSummary:
    """Build the sequences of all stays known at `as_of`, or of the open ones only."""
    place = Workspace(Path(workspace))
    summary = build_sequences(place, as_of, load_config(place.root), scope, runtime.flow_run.id)
    _log(summary)
    return summary


@task(name="preprocess", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5, retry_condition_fn=is_io_failure)
def preprocess_batch(
    workspace: str, as_of: date, scope: Scope, shards: Sequence[int], config: Config
) -> ShardCounts:
    """Build some of the shards of `preprocess`, whatever the environment of the process says of the configuration."""
    return build_shards(Workspace(Path(workspace)), as_of, config, scope, shards)


@task(name="finish_preprocess", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5,
      retry_condition_fn=is_io_failure)  # fmt: skip
def finish_preprocess(workspace: str, as_of: date, scope: Scope, counts: list[ShardCounts]) -> SequenceSummary:
    """Make the shards of `as_of` readable, once all of them are built."""
    place = Workspace(Path(workspace))
    summary = finish_sequences(place, as_of, load_config(place.root), scope, counts, runtime.flow_run.id)
    _log(summary)
    return summary


def _log(summary: SequenceSummary) -> None:
    logger.info("preprocess %s: %d stays, %d open, %d bins, %d variables", summary.as_of, summary.stays,
                summary.open_stays, summary.rows, summary.variables)  # fmt: skip
    ways = ", ".join(f"{kind} {rows}" for kind, rows in summary.observations.kinds.items() if rows)
    logger.info("preprocess %s: %d admitted observations = %s", summary.as_of, summary.observations.rows, ways)
    logger.info(
        "preprocess %s: %d stays appeared after the cutoff that followed their admission, %d have another admission "
        "time now", summary.as_of, summary.observations.appeared_late, summary.observations.moved,
    )  # fmt: skip
