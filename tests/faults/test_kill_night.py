"""What follows the contracts, and an upgrade, killed before every single change: a rerun ends in the same files; and
what a killed run held is free."""

import subprocess
import sys
import time

import pytest

from medlstm.lake.date_lock import DateLocked, date_lock
from medlstm.lake.files import Workspace
from tests.faults.killed_chain import DAYS
from tests.faults.killing import found_by


def test_a_rest_of_a_night_that_was_killed_ends_in_the_same_model_scores_and_page(tmp_path):
    found = found_by("killed_night", str(tmp_path))
    assert (found["different"], found["unsound"], found["left_over"]) == ([], [], [])
    # Predictions, weights, record, list of models, page.
    assert found["files"] == 5
    assert found["before_changes"] >= 40


def test_an_upgrade_that_was_killed_is_run_again_and_until_then_the_lake_is_refused(tmp_path):
    found = found_by("killed_upgrade", str(tmp_path))
    assert (found["different"], found["unsound"], found["left_over"]) == ([], [], [])
    assert found["as_written_today"]
    # Seven tables of two dates; at least the making of each file and its renaming.
    assert found["files"] == 14
    assert found["before_changes"] >= 2 * 14


_HOLD = """
import sys, time
from datetime import date
from pathlib import Path
from medlstm.lake.files import Workspace
from medlstm.lake.date_lock import date_lock
with date_lock(Workspace(Path(sys.argv[1])), "extract_date", date(2026, 1, 1)):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_of_a_date_waits_and_a_killed_one_leaves_no_lock(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    place = Workspace(tmp_path)
    try:
        assert holder.stdout.readline() == "held\n"
        message = rf"extract_date 2026-01-01 is held by another run \(process {holder.pid}\)"
        with pytest.raises(DateLocked, match=message), date_lock(place, "extract_date", DAYS[0], wait_seconds=0.3):
            pass
        # Another date, and the night of the same date, are free.
        with date_lock(place, "extract_date", DAYS[1], wait_seconds=0), date_lock(place, "as_of", DAYS[0], 0):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    started = time.monotonic()
    with date_lock(place, "extract_date", DAYS[0], wait_seconds=5):
        assert time.monotonic() - started < 4
