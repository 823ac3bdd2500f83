"""Turn a historical data set into dated landing drops."""

from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.history.replay_workspace import WorkspaceReplay, replay_workspace
from medlstm.lake.files import Workspace
from medlstm.onboarding.replay import ReplaySummary, replay_physionet2012
from medlstm.settings.workspace import load_config
from tasks.progress import report_progress


@task(name="replay", cache_policy=NO_CACHE)
def replay(
    workspace: str, sources: list[str], outcomes: list[str], start: date, days: int, lab_hours_late: float
) -> ReplaySummary:
    """Write the landing folders of `days` dates from `start`, as if the stays happened then."""
    place = Workspace(Path(workspace))
    return replay_physionet2012(
        [Path(source) for source in sources],
        [Path(outcome) for outcome in outcomes],
        place,
        start,
        days,
        load_config(place.root),
        lambda done, total: report_progress("replay", done, total),
        lab_hours_late,
    )


@task(name="replay_workspace", cache_policy=NO_CACHE)
def replay_own(workspace: str, sources: list[str], start: date, days: int) -> WorkspaceReplay:
    """The same from files of the workspace's own source, at the times that they tell."""
    place = Workspace(Path(workspace))
    return replay_workspace(
        place, sources, start, days, load_config(place.root), lambda done, total: report_progress("replay", done, total)
    )
