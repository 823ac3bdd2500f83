"""Ingest and contracts killed at any instant: a rerun gives byte-identical tables and leaves nothing for readers to
trip over.

MEDLSTM_KILLS sets how many kills (50), MEDLSTM_KILL_SEED which instants.
"""

import os

from tests.faults.killing import found_by


def test_a_rerun_after_sigkill_gives_byte_identical_tables(tmp_path):
    kills, seed = os.environ.get("MEDLSTM_KILLS", "50"), os.environ.get("MEDLSTM_KILL_SEED", "0")
    found = found_by("killed_chain", str(tmp_path), kills, seed)
    assert (found["different"], found["unsound"], found["left_over"]) == ([], [], [])
    assert found["at_random"] >= int(kills) // 5
    # At least the making of each file and its renaming, in a first run and in a second one.
    assert found["before_changes"] >= 2 * 2 * found["tables"]
    # Raw, admitted and quarantined partitions of two tables, rows kept for joins, unreadable files, record and report,
    # of two dates.
    assert found["tables"] == 2 * (3 * 2 + 1 + 1 + 1 + 1)
