"""Let a synthetic hospital drop its files."""

from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.lake.files import Workspace
from medlstm.settings.workspace import load_config
from medlstm.synthetic.habits import ALL_HABITS, TIDY
from medlstm.synthetic.hospital import HospitalSummary, simulate_hospital
from tasks.progress import report_progress


@task(name="simulate", cache_policy=NO_CACHE)
def simulate(workspace: str, start: date, days: int, seed: int, tidy: bool = False) -> HospitalSummary:
    """Write the landing folders of `days` dates from `start`; `tidy`: without all that hospitals tell late."""
    place = Workspace(Path(workspace))
    zone = load_config(place.root).workspace.timezone
    return simulate_hospital(
        place.root / "landing", start, days, seed, timezone=zone, habits=TIDY if tidy else ALL_HABITS,
        on_day=lambda done, total: report_progress("simulate", done, total),
    )  # fmt: skip
