"""Turn historical data into dated landing drops."""

from datetime import date

from prefect import flow

from medlstm.history.replay_workspace import WorkspaceReplay
from medlstm.onboarding.replay import ReplaySummary
from tasks.replay import replay as replay_task
from tasks.replay import replay_own


@flow(name="replay", flow_run_name="replay from {start}")
def replay(
    workspace: str, sources: list[str], outcomes: list[str], start: date, days: int, lab_hours_late: float = 0.0
) -> ReplaySummary:
    """Files of the PhysioNet 2012 challenge to landing folders."""
    return replay_task(workspace, sources, outcomes, start, days, lab_hours_late)


@flow(name="replay_workspace", flow_run_name="replay from {start}")
def replay_workspace(workspace: str, sources: list[str], start: date, days: int) -> WorkspaceReplay:
    """Files of the workspace's own source to landing folders."""
    return replay_own(workspace, sources, start, days)
