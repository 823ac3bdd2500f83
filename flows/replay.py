"""Turn a historical data set into dated landing drops."""

from datetime import date

from prefect import flow

from medlstm.onboarding.replay import ReplaySummary
from tasks.replay import replay as replay_task


@flow(name="replay", flow_run_name="replay from {start}")
def replay(workspace: str, sources: list[str], outcomes: list[str], start: date, days: int) -> ReplaySummary:
    """Historical files to landing folders."""
    return replay_task(workspace, sources, outcomes, start, days)
