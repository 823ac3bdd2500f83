"""What follows the contracts in a night - sequences, training, scores, page - killed before each single change of the
file system and run again; print what was found as JSON.

    python -m tests.faults.killed_night FOLDER
"""

import json
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import great_expectations as gx
import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa

from medlstm.lake import schemas
from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.registry.nightly_training import train_night
from medlstm.registry.versions import night_scope, training_due
from medlstm.report.gather import write_report
from medlstm.scoring.score_night import score_night
from medlstm.sequences.build import build_sequences
from medlstm.settings.workspace import parse_config
from tests.faults.killing import Kills

NIGHT = date(2026, 1, 20)
CONFIG = parse_config(
    {
        "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
        "features": {"numeric": ["age"], "categorical": ["ward"]},
        "sequences": {"bin_hours": 6, "shards": 2},
        "model": {"name": "median"},
        "training": {"min_stays": 20},
    },
    {},
    "kill",
)


def write_admitted(root: Path) -> None:
    """Two hundred stays of a few days, four values a day, all in the partitions of the night's own date."""
    generator = np.random.default_rng(0)
    place = Workspace(root)
    stays, observations = [], []
    for index in range(200):
        admitted = datetime(2026, 1, 1) + timedelta(hours=int(generator.integers(0, 19 * 24)))
        discharged = admitted + timedelta(hours=float(generator.lognormal(4.2, 0.6)))
        ended = discharged if discharged < datetime(2026, 1, 20) else None
        stays.append((f"s{index}", f"p{index}", admitted, ended, None, 60.0, "ab"[index % 2], NIGHT, "file", index))
        for hours in range(0, 72, 6):
            at = admitted + timedelta(hours=hours)
            if at < min(discharged, datetime(2026, 1, 20)):
                row = len(observations)
                observations.append((f"s{index}", at, "hr", float(generator.normal(80, 9)), NIGHT, "file", row))
    for table, rows, schema in (
        ("stays", stays, schemas.stays_schema(["age"], ["ward"])),
        ("observations", observations, schemas.OBSERVATIONS_SCHEMA),
    ):
        records = [dict(zip(schema.names, row, strict=True)) for row in rows]
        write_table(pa.Table.from_pylist(records, schema=schema), partition_file(place.admitted(table), NIGHT))


def run_night(root: Path) -> None:
    place = Workspace(root)
    every_days = CONFIG.training.retrain_every_days
    due = training_due(place, NIGHT, every_days)
    build_sequences(place, NIGHT, CONFIG, night_scope(place, NIGHT, every_days))
    if due:
        train_night(place, NIGHT, CONFIG)
    score_night(place, NIGHT, CONFIG)
    write_report(place, NIGHT, CONFIG, "done", ())


def results(root: Path) -> dict[str, bytes]:
    """All that is read after the night; its sequences are made anew whenever it is run."""
    kept = [*(root / "lake" / "predictions").rglob("*"), *(root / "models").rglob("*"), *(root / "reports").rglob("*")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept if path.is_file()}


def main(folder: str) -> dict[str, object]:
    # Imported before the forks, so that none of them waits for it.
    assert duckdb.__version__
    assert gx.__version__
    assert plt.figure
    base = Path(folder)
    write_admitted(base / "admitted")
    kill = Kills(base, base / "admitted", run_night, results)
    return {**kill.found, "before_changes": kill.before_each_change(), "files": len(kill.expected[True])}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
