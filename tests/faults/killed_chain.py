"""Run ingest and contracts, kill them, run them again; print what was found as JSON.

    python -m tests.faults.killed_chain FOLDER KILLS SEED

They are killed KILLS times at a random instant, and once before each single change of the file system: those lie so
close together that random instants miss some. One process imports everything and forks for each run, so that a kill
costs a fraction of a second.
"""

import json
import os
import random
import sys
from datetime import date, timedelta
from pathlib import Path

import great_expectations as gx

from medlstm.contracts.raw_to_admitted import dates_to_validate, validate_dates
from medlstm.ingest.landing_to_raw import dates_to_ingest, ingest_date
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import parse_config
from tests.faults.killing import Kills

DAYS = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(2)]
CONFIG = parse_config(
    {
        "source": {
            "format": "csv",
            "files": [
                {
                    "pattern": "stays*", "table": "stays", "columns": {"ward": "rooms.ward"},
                    "joins": [{"name": "rooms", "pattern": "rooms*", "on": {"room": "room"}, "keep_as": "rooms"}],
                },
                {"pattern": "labs*", "table": "observations"},
            ],
        },
        "features": {"categorical": ["ward"]},
    },
    {},
    "kill",
)


def write_landing(root: Path) -> None:
    for day in DAYS:
        folder = root / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        stays = [f"s{index},p{index},{day}T0{index % 10}:00:00,{index % 3}" for index in range(50)]
        (folder / "stays.csv").write_text("\n".join(["stay_id,patient_id,admitted_at,room", *stays]) + "\n")
        if day == DAYS[0]:
            (folder / "rooms.csv").write_text("room,ward\n0,a\n1,b\n2,c\n")
        for part in range(3):
            rows = [
                f"s{index % 50},{day}T{index % 24:02}:{index % 60:02}:00,HR,{60 + index % 40 if index % 97 else 'x'}"
                for index in range(part, 6000, 3)
            ]
            (folder / f"labs{part}.csv").write_text("\n".join(["stay_id,observed_at,variable,value", *rows]) + "\n")


def deliver_corrections(root: Path) -> None:
    """A file of the newest date changes, and one of the date before, which is closed, so that it comes late; and the
    newest date has rows for joins that it did not have."""
    rooms = root / "landing" / DAYS[1].isoformat() / "rooms.csv"
    rooms.write_text("room,ward\n1,d\n")
    os.utime(rooms, ns=(1_700_000_000_000_000_000,) * 2)
    for day, number in ((DAYS[0], 1), (DAYS[1], 0)):
        labs = root / "landing" / day.isoformat() / f"labs{number}.csv"
        changed_ns = labs.stat().st_mtime_ns + 1_000_000_000
        labs.write_text(labs.read_text().replace(",HR,7", ",HR,8"))
        # The record of a delivery has the time of change.
        os.utime(labs, ns=(changed_ns, changed_ns))


def run_chain(root: Path) -> None:
    place = Workspace(root)
    for day in dates_to_ingest(place, DAYS[-1]):
        ingest_date(place, day, CONFIG)
    list(validate_dates(place, dates_to_validate(place, DAYS[-1]), CONFIG))


def tables(root: Path) -> dict[str, bytes]:
    kept = [*root.rglob("*.parquet"), *(root / "lake" / "deliveries").glob("*.json"), *root.rglob("contract.json")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept if "landing" not in path.parts}


def main(folder: str, kills: int, seed: int) -> dict[str, object]:
    # Imported before the forks, so that none of them waits for it.
    assert gx.__version__
    generator = random.Random(seed)
    base = Path(folder)
    write_landing(base / "landing_only")
    kill = Kills(base, base / "landing_only", run_chain, tables, deliver_corrections)
    for number in range(kills):
        at = generator.uniform(0, kill.seconds)
        kill.kill(f"{number} after {at:.3f} s", again=number % 3 == 2, after_seconds=at)
    at_random = len(kill.found["killed"])
    counts = {"at_random": at_random, "before_changes": kill.before_each_change(), "tables": len(kill.expected[True])}
    return {**kill.found, **counts}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
