"""A synthetic hospital, several nights of it, and what a bed manager wants to see first."""

from dataclasses import dataclass
from datetime import date, timedelta

from prefect import flow

from flows.nightly import NightSummary, nightly
from medlstm.synthetic.hospital import HospitalSummary
from tasks.progress import report_progress
from tasks.simulate import simulate


@dataclass(frozen=True)
class DemoSummary:
    """The hospital and its nights, the last of which holds the forecast and the record of those before."""

    hospital: HospitalSummary
    nights: tuple[NightSummary, ...]


@flow(name="demo", flow_run_name="demo from {start}")
def demo(
    workspace: str, start: date, days: int, first_night: int, seed: int, tidy: bool = False
) -> DemoSummary:
    """Let the hospital run `days` dates, then run the nights from day `first_night` (1-based) to the last.

    The first of these nights takes in all dates before it too. `tidy`: without all that hospitals tell
    late.
    """
    hospital = simulate(workspace, start, days, seed, tidy)
    dates = [start + timedelta(days=day) for day in range(first_night - 1, days)]
    nights = []
    for done, day in enumerate(dates, start=1):
        nights.append(nightly(workspace, day))
        report_progress("nights", done, len(dates))
    return DemoSummary(hospital, tuple(nights))
