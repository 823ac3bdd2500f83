"""An upgrade of a lake that the first version wrote, killed before each single change of the file system and run
again; print what was found as JSON.

    python -m tests.faults.killed_upgrade FOLDER
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from medlstm.contracts.raw_to_admitted import dates_to_validate
from medlstm.errors import ConfigError
from medlstm.lake.files import Workspace
from medlstm.lake.format import require_format
from medlstm.settings.workspace import load_config
from medlstm.upkeep.inspection import verify_lake
from medlstm.upkeep.upgrade import upgrade_lake
from tests.faults.killing import Kills
from tests.unit.small_hospital import (
    DAYS,
    lake_files,
    partitions,
    take_in,
    write_as_format_1,
    write_landing,
)


def upgrade(root: Path) -> None:
    place = Workspace(root)
    if _is_usable(place) and any("extract_date" in pq.read_schema(path).names for path in partitions(place)):
        raise SystemExit("the lake is marked as converted, and a file is not")
    upgrade_lake(place)


def _is_usable(place: Workspace) -> bool:
    try:
        require_format(place)
    except ConfigError:
        return False
    return True


def results(root: Path) -> dict[str, bytes]:
    """The files, and what the audit log and the records say of them."""
    place = Workspace(root)
    said = [verify_lake(place, load_config(root)).problems, dates_to_validate(place, DAYS[3])]
    return {**lake_files(root), "said": str(said).encode()}


def main(folder: str) -> dict[str, object]:
    base = Path(folder)
    write_landing(base / "today")
    place = take_in(base / "today", DAYS[1])
    expected = results(place.root)
    write_as_format_1(place)
    kill = Kills(base, place.root, upgrade, results)
    changes = kill.before_each_change()
    same = kill.expected[False] == kill.expected[True] == expected
    return {**kill.found, "before_changes": changes, "files": len(partitions(place)), "as_written_today": same}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
