"""A synthetic hospital with known faults: dated landing folders, for the demo and the tests."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from medlstm.errors import MedlstmError
from medlstm.lake.files import write_bytes
from medlstm.synthetic.calendar import make_calendar
from medlstm.synthetic.course import simulate_course
from medlstm.synthetic.feed import Feed, extract_feed
from medlstm.synthetic.habits import TIDY, Habits

STAYS_FILE = "stays.csv"
VITALS_FILE = "observations_vitals.csv"
LABS_FILE = "observations_labs.csv.gz"
LABS_FILE_AGAIN = "observations_labs_again.csv.gz"


@dataclass(frozen=True)
class HospitalSummary:
    """What was dropped, over all dates: stays, measurements (rows of the raw table, repeated ones included), and
    the planted faults as (name, rows), by name; a missing vital sign is a blank, which makes no row."""

    days: int
    stays: int
    observations: int
    faults: tuple[tuple[str, int], ...]


def simulate_hospital(
    landing: Path,
    start: date,
    days: int,
    seed: int,
    *,
    timezone: str,
    admissions_per_day: float = 75.0,
    habits: Habits = TIDY,
    on_day: Callable[[int, int], None] | None = None,
) -> HospitalSummary:
    """Write `landing/YYYY-MM-DD/` for `days` dates from `start`: the nightly extracts of one hospital.

    Local times without an offset, as of `timezone`. The first extract is the initial load: all stays in a bed or
    discharged within two weeks before, with all that was measured. Equal arguments give equal bytes. The default
    is some 450 beds. `habits`: what the feed tells late. `on_day(done, days)` is called after each date. Raises
    ValueError below two days, and MedlstmError, before anything is written, when a folder of these dates holds other
    files.
    """
    if days < 2:
        raise ValueError(f"days = {days}: a hospital with late and corrected rows takes two at least")
    generator = np.random.default_rng(seed)
    course = simulate_course(make_calendar(start, days, timezone), days, admissions_per_day, generator)
    feed = extract_feed(course, days, generator, habits)
    twice = {days // 3, 2 * days // 3}
    drops = [(landing / (start + timedelta(days=day)).isoformat(), _files(feed, day, day in twice))
             for day in range(days)]  # fmt: skip
    for folder, files in drops:
        _refuse_other_files(folder, files)
    for done, (folder, files) in enumerate(drops, start=1):
        for name, content in files.items():
            write_bytes(content, folder / name)
        if on_day:
            on_day(done, days)
    again = int(feed.labs["day"].isin(twice).sum())
    feed.faults["file_delivered_twice"] += again
    signs = int((feed.vitals.drop(columns=["day", "case_id", "taken_at"]) != "").sum().sum())
    return HospitalSummary(
        days=days,
        stays=feed.stays.loc[feed.stays["case_id"] != "", "case_id"].nunique(),
        observations=signs + len(feed.labs) + again,
        faults=tuple(sorted(feed.faults.items())),
    )


def _files(feed: Feed, day: int, labs_twice: bool) -> dict[str, bytes]:
    labs = gzip.compress(_csv_of_day(feed.labs, day), mtime=0)
    files = {
        STAYS_FILE: _csv_of_day(feed.stays, day),
        VITALS_FILE: _csv_of_day(feed.vitals, day),
        LABS_FILE: labs,
    }
    return files | ({LABS_FILE_AGAIN: labs} if labs_twice else {})


def _csv_of_day(lines: pd.DataFrame, day: int) -> bytes:
    """The lines of a date, which `lines` holds in order of dates, as CSV with a header."""
    first, last = np.searchsorted(lines["day"].to_numpy(), [day, day + 1])
    text = lines.iloc[first:last].drop(columns="day").to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8")


def _refuse_other_files(folder: Path, files: dict[str, bytes]) -> None:
    """Only what this very hospital would write may be there already: an earlier run of the same seed."""
    for path in sorted(folder.glob("*")):
        if path.name not in files or path.read_bytes() != files[path.name]:
            raise MedlstmError(
                f"{path}: already there, and not from this synthetic hospital; choose an empty workspace, or remove it"
            )
