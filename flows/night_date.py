"""Which night a run is for, and that no other run is at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from prefect import runtime

from medlstm.lake.date_lock import date_lock
from medlstm.lake.files import Workspace
from medlstm.lake.format import require_format
from medlstm.settings.workspace import Config, load_config


def resolve_as_of(workspace: str, as_of: date | None) -> date:
    """The date asked for; else the newest night whose cutoff had passed when the run was scheduled to start.

    The scheduled time and never the clock, so that a run that starts late is still for its own night.
    """
    if as_of is not None:
        return as_of
    return newest_closed_night(load_config(Path(workspace)), runtime.flow_run.scheduled_start_time)


@contextmanager
def held_date(workspace: str, as_of: date | None) -> Iterator[date]:
    """The date of `resolve_as_of`, held for the block: a step run by hand waits for the night of its date, and that
    for it. Raises DateLocked when the other run does not end, ConfigError for a lake of another version."""
    day, place = resolve_as_of(workspace, as_of), Workspace(Path(workspace))
    require_workspace_format(workspace)
    with date_lock(place, "as_of", day):
        yield day


def require_workspace_format(workspace: str) -> None:
    """Raise ConfigError for a lake of another version: scheduled runs do not come through the command line."""
    require_format(Workspace(Path(workspace)))


def newest_closed_night(config: Config, moment: datetime) -> date:
    """The newest date whose cutoff instant is not after `moment` (aware)."""
    day = moment.astimezone(ZoneInfo(config.workspace.timezone)).date()
    while config.cutoff_instant(day) > moment:
        day -= timedelta(days=1)
    return day


def run_name(flow: str) -> str:
    """`nightly 2026-11-22`, or the flow's name where the date is not known before it runs."""
    as_of = runtime.flow_run.parameters.get("as_of")
    return f"{flow} {as_of}" if as_of else flow
