"""The steps that can be spread over machines: one task in this process, or a few on a Dask cluster, as configured.

Either way the same functions of the core write the same files.
"""

from datetime import date
from pathlib import Path

from medlstm.contracts.validation_groups import independent_dates
from medlstm.ingest.landing_to_raw import IngestSummary
from medlstm.lake.files import Workspace
from medlstm.sequences.build import SequenceSummary
from medlstm.sequences.cohort import Scope
from medlstm.settings.workspace import load_config
from tasks.cluster import dask_cluster, split_evenly
from tasks.ingest import ingest as ingest_here
from tasks.ingest import ingest_batch, plan_ingest
from tasks.preprocess import finish_preprocess, preprocess_batch
from tasks.preprocess import preprocess as preprocess_here
from tasks.validate import ValidationOutcome, validate_batch
from tasks.validate import validate as validate_here


def ingest(workspace: str, days: list[date]) -> list[IngestSummary]:
    """Take in several dates, ascending."""
    config = load_config(Path(workspace))
    if config.execution.task_runner == "local":
        return ingest_here(workspace, days)
    with dask_cluster(workspace, config.execution) as cluster:
        planned = split_evenly(plan_ingest(workspace, days), cluster.batches)
        batches = cluster.map(
            ingest_batch, [{"workspace": workspace, "planned": batch, "config": config} for batch in planned]
        )
    return [summary for batch in batches for summary in batch]


def validate(workspace: str, days: list[date]) -> ValidationOutcome:
    """Hold several dates, ascending, against the contracts; one that stops the last date stops the night."""
    config = load_config(Path(workspace))
    if config.execution.task_runner == "local":
        return validate_here(workspace, days)
    with dask_cluster(workspace, config.execution) as cluster:
        groups = independent_dates(Workspace(Path(workspace)), days, config)
        batches = [[day for group in batch for day in group] for batch in split_evenly(groups, cluster.batches)]
        outcomes = cluster.map(
            validate_batch,
            [{"workspace": workspace, "days": batch, "night": days[-1], "config": config} for batch in batches],
        )
    return ValidationOutcome(
        tuple(summary for one in outcomes for summary in one.summaries),
        tuple(message for one in outcomes for message in one.stopped),
    )


def preprocess(workspace: str, as_of: date, scope: Scope) -> SequenceSummary:
    """Build the sequences of the stays known at `as_of`."""
    config = load_config(Path(workspace))
    if config.execution.task_runner == "local":
        return preprocess_here(workspace, as_of, scope)
    with dask_cluster(workspace, config.execution) as cluster:
        shards = split_evenly(range(config.sequences.shards), cluster.batches)
        counts = cluster.map(
            preprocess_batch,
            [
                {"workspace": workspace, "as_of": as_of, "scope": scope, "shards": batch, "config": config}
                for batch in shards
            ],
        )
    return finish_preprocess(workspace, as_of, scope, counts)
