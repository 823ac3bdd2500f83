from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pytest

from medlstm.contracts.results import ContractReport
from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace
from medlstm.report.nothing_scored import why_nothing
from medlstm.sequences.cohort import load_cohort
from tests.severity_lake import severity_config, write_days

NIGHT = date(2026, 1, 20)
ADMITTED = datetime(2026, 1, 10)
NO_ROWS = ContractReport("stays", 0, 0, 0, 0, ())


@dataclass(frozen=True)
class Lake:
    """What a night finds: (admitted, discharged) of its stays, whether anything was measured, what arrived."""

    stays: tuple = ()
    measured: bool = False
    report: ContractReport = NO_ROWS
    unreadable_files: int = 0


OPEN, ENDED = (ADMITTED, None), (ADMITTED, ADMITTED + timedelta(days=3))


def _why(root, lake):
    place, config = Workspace(root), severity_config()
    rows = [(f"s{number}", f"p{number}", begin, end, None, 60.0, "a") for number, (begin, end) in enumerate(lake.stays)]
    if rows:
        write_days(place, "stays", {NIGHT: rows}, tables.stays_schema(["age"], ["ward"]))
    if lake.measured:
        measured = [("s0", ADMITTED, "hr", 80.0)]
        write_days(place, "observations", {NIGHT: measured}, tables.OBSERVATIONS_SCHEMA)
    cohort = load_cohort(place, NIGHT, config)
    return why_nothing(place, NIGHT, config, cohort, [lake.report], lake.unreadable_files)


@pytest.mark.parametrize(
    ("lake", "cause", "said"),
    [
        (Lake(), "input", "no row of stays has arrived"),
        (Lake(unreadable_files=2), "input", "2 of the night's files could not be read"),
        (Lake(report=replace(NO_ROWS, rows_in=4, quarantined=4)), "contract", "all 4 rows of stays"),
        (Lake(stays=((ADMITTED + timedelta(days=90), None),)), "input", "before the night's cutoff"),
        (Lake(stays=(ENDED, ENDED), unreadable_files=1), "input", "could not be read"),
        (Lake(stays=(ENDED, ENDED), measured=True), "empty", "nobody is in a bed: all 2 known stays have ended"),
        (Lake(stays=(ENDED, OPEN)), "input", "no observation is known"),
        (Lake(stays=(ENDED, OPEN), measured=True), "waiting", "no model yet, of 1 ended stays"),
    ],
)
def test_the_first_reason_is_told_and_only_input_fails_the_night(tmp_path, lake, cause, said):
    nothing = _why(tmp_path, lake)
    assert nothing.cause == cause
    assert said in nothing.reason
    assert nothing.advice.endswith(".")
    assert nothing.is_failure == (cause in ("input", "contract"))
