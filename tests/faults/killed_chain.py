"""Run ingest and contracts, kill them at random instants, run them again; print what was found as JSON.

    python -m tests.faults.killed_chain FOLDER KILLS SEED

One process imports everything and forks for each run, so that a kill costs a fraction of a second.
"""

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


def forked(root: Path, kill_after_seconds: float | None = None) -> tuple[float, bool]:
    """Seconds of the run, and whether it was killed before its end."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
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


def main(folder: str, kills: int, seed: int) -> dict[str, object]:
    # Imported before the forks, so that none of them waits for it.
    assert gx.__version__
    generator = random.Random(seed)
    base = Path(folder)
    write_landing(base / "landing_only")
    shutil.copytree(base / "landing_only", base / "whole")
    forked(base / "whole")
    shutil.copytree(base / "landing_only", base / "timed")
    seconds, _ = forked(base / "timed")
    expected = tables(base / "whole")
    found: dict[str, list[object]] = {"different": [], "unsound": [], "left_over": [], "killed_at": []}
    for number in range(kills):
        root = base / f"kill{number}"
        shutil.copytree(base / "landing_only", root)
        if number % 3 == 2:
            # The second time over: old partitions are replaced.
            forked(root)
        at = generator.uniform(0, seconds)
        _, killed = forked(root, at)
        if killed:
            found["killed_at"].append(round(at, 3))
        found["unsound"] += unsound(root)
        forked(root)
        if tables(root) != expected:
            found["different"].append(number)
        found["left_over"] += [str(path) for path in root.rglob("*.tmp")]
        shutil.rmtree(root)
    return {**found, "tables": len(expected), "seconds_of_a_run": seconds}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
