"""Run ingest and contracts, kill them, run them again; print what was found as JSON.

    python -m tests.faults.killed_chain FOLDER KILLS SEED

They are killed KILLS times at a random instant, and once before each single change of the file system: those lie so
close together that random instants miss some. One process imports everything and forks for each run, so that a kill
costs a fraction of a second.
"""

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import great_expectations as gx
import pyarrow.parquet as pq

from medlstm.config import parse_config
from medlstm.ingest import dates_to_ingest, ingest_date
from medlstm.lake import Workspace
from medlstm.validate import dates_to_validate, validate_dates

DAYS = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(2)]
CONFIG = parse_config(
    {
        "source": {
            "format": "csv",
            "files": [{"pattern": "stays*", "table": "stays"}, {"pattern": "labs*", "table": "observations"}],
        }
    },
    {},
    "kill",
)


def write_landing(root: Path) -> None:
    for day in DAYS:
        folder = root / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        stays = [f"s{index},p{index},{day}T0{index % 10}:00:00" for index in range(50)]
        (folder / "stays.csv").write_text("\n".join(["stay_id,patient_id,admitted_at", *stays]) + "\n")
        for part in range(3):
            rows = [
                f"s{index % 50},{day}T{index % 24:02}:{index % 60:02}:00,HR,{60 + index % 40 if index % 97 else 'x'}"
                for index in range(part, 6000, 3)
            ]
            (folder / f"labs{part}.csv").write_text("\n".join(["stay_id,observed_at,variable,value", *rows]) + "\n")


def run_chain(root: Path) -> None:
    place = Workspace(root)
    for day in dates_to_ingest(place, DAYS[-1]):
        ingest_date(place, day, CONFIG)
    list(validate_dates(place, dates_to_validate(place, DAYS[-1]), CONFIG))


def die_before(change: int, root: Path) -> None:
    """Let this process kill itself where it is about to create, rename or remove its n-th name below `root`, or to
    open its n-th file for writing. Parquet files are filled by C++ code unseen, but under temporary names alone."""
    changes = itertools.count()

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir") or (
            event == "open" and isinstance(arguments[1], str) and arguments[1] not in ("r", "rb")
        )
        if writes and str(arguments[0]).startswith(str(root)) and next(changes) == change:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def forked(
    root: Path, kill_after_seconds: float | None = None, kill_before_change: int | None = None
) -> tuple[float, bool]:
    """Seconds of the run, and whether it was killed before its end."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if kill_before_change is not None:
                die_before(kill_before_change, root)
            run_chain(root)
            code = 0
        finally:
            os._exit(code)
    if kill_after_seconds is not None:
        time.sleep(kill_after_seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    if not killed and os.WEXITSTATUS(status):
        raise SystemExit(f"the chain failed with status {os.WEXITSTATUS(status)}")
    return time.monotonic() - started, killed


def tables(root: Path) -> dict[str, bytes]:
    kept = [*root.rglob("*.parquet"), *(root / "lake" / "deliveries").glob("*.json"), *root.rglob("contract.json")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept if "landing" not in path.parts}


def unsound(root: Path) -> list[str]:
    """Files that a reader could trip over."""
    found = []
    for path in (root / "lake").rglob("*"):
        if path.is_file() and path.suffix == ".parquet":
            try:
                pq.ParquetFile(path).read()
            except Exception as error:
                found.append(f"{path}: {error}")
    return found


class Kills:
    """Each on a fresh copy of the landing folder; what a rerun leaves is compared with what a whole run leaves."""

    def __init__(self, base: Path) -> None:
        self.base = base
        write_landing(base / "landing_only")
        shutil.copytree(base / "landing_only", base / "whole")
        forked(base / "whole")
        shutil.copytree(base / "landing_only", base / "timed")
        self.seconds, _ = forked(base / "timed")
        self.expected = tables(base / "whole")
        self.found: dict[str, list[str]] = {"different": [], "unsound": [], "left_over": [], "killed": []}

    def kill(
        self, name: str, again: bool, after_seconds: float | None = None, before_change: int | None = None
    ) -> bool:
        """Whether the run was killed before its end. `again`: a whole run comes first, so partitions are replaced."""
        root = self.base / "killed"
        shutil.copytree(self.base / "landing_only", root)
        if again:
            forked(root)
        _, killed = forked(root, after_seconds, before_change)
        if killed:
            self.found["killed"].append(name)
        self.found["unsound"] += unsound(root)
        forked(root)
        if tables(root) != self.expected:
            self.found["different"].append(name)
        self.found["left_over"] += [f"{name}: {path.name}" for path in root.rglob("*.tmp")]
        shutil.rmtree(root)
        return killed


def main(folder: str, kills: int, seed: int) -> dict[str, object]:
    # Imported before the forks, so that none of them waits for it.
    assert gx.__version__
    generator = random.Random(seed)
    kill = Kills(Path(folder))
    for number in range(kills):
        at = generator.uniform(0, kill.seconds)
        kill.kill(f"{number} after {at:.3f} s", again=number % 3 == 2, after_seconds=at)
    at_random = len(kill.found["killed"])
    for again in (False, True):
        numbers = itertools.count()
        while kill.kill(f"before change {(number := next(numbers))}, again={again}", again, before_change=number):
            pass
    return {
        **kill.found,
        "at_random": at_random,
        "before_changes": len(kill.found["killed"]) - at_random,
        "tables": len(kill.expected),
        "seconds_of_a_run": kill.seconds,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
