"""Killed at any instant, a rerun gives byte-identical tables and leaves nothing for readers to trip over.

MEDLSTM_KILLS sets how many kills (50), MEDLSTM_KILL_SEED which instants.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from medlstm.lake.date_lock import DateLocked, date_lock
from medlstm.lake.files import Workspace
from tests.faults.killed_chain import DAYS


def test_a_rerun_after_sigkill_gives_byte_identical_tables(tmp_path):
    kills, seed = os.environ.get("MEDLSTM_KILLS", "50"), os.environ.get("MEDLSTM_KILL_SEED", "0")
    found = _found("killed_chain", str(tmp_path), kills, seed)
    assert (found["different"], found["unsound"], found["left_over"]) == ([], [], [])
    assert found["at_random"] >= int(kills) // 2
    # At least the making of each file and its renaming, in a first run and in a second one.
    assert found["before_changes"] >= 2 * 2 * found["tables"]
    # Raw, admitted and quarantined partitions of two tables, rows kept for joins, unreadable files, record and report,
    # of two dates.
    assert found["tables"] == 2 * (3 * 2 + 1 + 1 + 1 + 1)


def test_a_rest_of_a_night_that_was_killed_ends_in_the_same_model_scores_and_page(tmp_path):
    found = _found("killed_night", str(tmp_path))
    assert (found["different"], found["unsound"], found["left_over"]) == ([], [], [])
    # Predictions, weights, record, list of models, page.
    assert found["files"] == 5
    assert found["before_changes"] >= 40


def test_an_upgrade_that_was_killed_is_run_again_and_until_then_the_lake_is_refused(tmp_path):
    found = _found("killed_upgrade", str(tmp_path))
    assert (found["different"], found["unsound"], found["left_over"]) == ([], [], [])
    assert found["as_written_today"]
    # Seven tables of two dates; at least the making of each file and its renaming.
    assert found["files"] == 14
    assert found["before_changes"] >= 2 * 14


def _found(module, *arguments):
    command = [sys.executable, "-m", f"tests.faults.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


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
