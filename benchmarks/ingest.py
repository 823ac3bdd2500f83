"""12,000 PhysioNet-format stays to admitted Parquet, beside the bare parse of pandas, Polars and DuckDB.

    python -m benchmarks.ingest --data FOLDER --json ingest.json

FOLDER holds set-a.tar.gz, set-b.tar.gz and their Outcomes files. The stays are those of both sets, and set b again
under new identifiers, as 12,000 record files in one landing folder. medlstm does all of it: raw rows with where each
came from, contracts, quarantine, admitted rows; the others only parse the files and write one Parquet file. Each
contender runs `--repeats` times in turn, each time in a process of its own, and its median counts. Imports are not
counted.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import great_expectations as _imported  # noqa: F401
import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.machine import folder_bytes, machine_limits
from benchmarks.results import write
from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import parse_config

DAY = date(2026, 1, 1)
NEW_IDENTIFIER = 500_000
BARS = {"of_fastest_bare_parse": 4.0, "of_pandas_bare_parse": 1 / 3}


def write_records(data: Path, landing: Path) -> int:
    """The 12,000 record files and their outcomes; the number of records."""
    landing.mkdir(parents=True)
    count = 0
    for name, offset in (("a", 0), ("b", 0), ("b", NEW_IDENTIFIER)):
        with tarfile.open(data / f"set-{name}.tar.gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name.endswith(".txt") else None
                if stream is None:
                    continue
                record = int(Path(member.name).stem)
                text = stream.read().decode()
                text = text.replace(f"RecordID,{record}\n", f"RecordID,{record + offset}\n", 1)
                (landing / f"{record + offset}.txt").write_text(text)
                count += 1
        lines = (data / f"Outcomes-{name}.txt").read_text().splitlines()
        rows = [line.split(",", 1) for line in lines[1:]]
        text = "\n".join([lines[0], *(f"{int(record) + offset},{rest}" for record, rest in rows)])
        (landing / f"Outcomes-{name}{offset}.txt").write_text(text + "\n")
    return count


def records(landing: Path) -> list[Path]:
    return sorted(path for path in landing.glob("*.txt") if not path.name.startswith("Outcomes"))


def run_pandas(landing: Path, root: Path) -> tuple[int, dict[str, Any]]:
    target = root / "pandas.parquet"
    frames = [pd.read_csv(path).assign(source_file=path.name) for path in records(landing)]
    table = pd.concat(frames, ignore_index=True)
    table.to_parquet(target)
    return len(table), {}


def run_polars(landing: Path, root: Path) -> tuple[int, dict[str, Any]]:
    target = root / "polars.parquet"
    schema = {"Time": pl.String, "Parameter": pl.String, "Value": pl.Float64}
    table = pl.read_csv(records(landing), schema=schema, include_file_paths="source_file")
    table.write_parquet(target)
    return table.height, {}


def run_duckdb(landing: Path, root: Path) -> tuple[int, dict[str, Any]]:
    target = root / "duckdb.parquet"
    columns = "{'Time': 'VARCHAR', 'Parameter': 'VARCHAR', 'Value': 'DOUBLE'}"
    with duckdb.connect(config={"threads": 2}) as database:
        database.execute(
            f"copy (select * from read_csv('{landing}/[0-9]*.txt', header = true, columns = {columns}, "
            f"filename = true, auto_detect = false)) to '{target}' (format parquet)"
        )
        found = database.execute(f"select count(*) from read_parquet('{target}')").fetchone()
    assert found
    return int(found[0]), {}


def run_medlstm(landing: Path, root: Path) -> tuple[int, dict[str, Any]]:
    # As for the `medlstm` command; see flows/__init__.py.
    pa.set_memory_pool(pa.jemalloc_memory_pool())
    features = {"numeric": ["Age", "Height", "Weight"], "categorical": ["Gender", "ICUType"]}
    config = parse_config({"source": {"format": "physionet2012"}, "features": features}, {}, "benchmark")
    place = Workspace(root)
    assert landing == place.landing(DAY)
    started = time.perf_counter()
    ingested = ingest_date(place, DAY, config)
    between = time.perf_counter()
    reports = validate_date(place, DAY, config).reports
    stages = {"ingest": between - started, "contract": time.perf_counter() - between}
    counts = {
        one.table: {"rows_in": one.rows_in, "admitted": one.admitted, "quarantined": one.quarantined,
                    "exact_duplicates": one.exact_duplicates} for one in reports
    }  # fmt: skip
    return ingested.observations, {"stages": stages, "reports": counts}


CONTENDERS = {"medlstm": run_medlstm, "duckdb": run_duckdb, "polars": run_polars, "pandas": run_pandas}


def timed(contender: str, landing: Path, root: Path) -> tuple[float, int, dict[str, Any]]:
    """Seconds, rows, and what else a contender tells of one run."""
    started = time.perf_counter()
    rows, told = CONTENDERS[contender](landing, root)
    return time.perf_counter() - started, rows, told


def measure(data: Path, folder: Path, repeats: int) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {one: [] for one in CONTENDERS}
    rows: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name)
        landing = root / "landing" / DAY.isoformat()
        stays = write_records(data, landing)
        limits = machine_limits(root)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
            for _ in range(repeats):
                for one in CONTENDERS:
                    shutil.rmtree(root / "lake", ignore_errors=True)
                    # Only medlstm waits until its files are on the disk: not for what the one before it left in memory.
                    os.sync()
                    took, rows[one], told = pool.submit(timed, one, landing, root).result()
                    seconds[one].append(took)
                    counts |= told
        input_bytes = folder_bytes(landing)
    medians = {one: statistics.median(times) for one, times in seconds.items()}
    fastest = min(value for one, value in medians.items() if one != "medlstm")
    ratios = {
        "of_fastest_bare_parse": medians["medlstm"] / fastest,
        "of_pandas_bare_parse": medians["medlstm"] / medians["pandas"],
    }
    return {
        "stays": stays,
        "contenders": {
            one: {"seconds": medians[one], "rows_per_second": rows[one] / medians[one], "rows": rows[one],
                  "all_seconds": seconds[one]} for one in CONTENDERS
        },
        **counts,
        "input_bytes": input_bytes,
        "machine": limits,
        "share_of_read_bandwidth": input_bytes / medians["medlstm"] / 1e9 / limits["read_gb_per_second"],
        "bars": {one: {"bar": BARS[one], "value": ratios[one], "holds": ratios[one] <= BARS[one]} for one in BARS},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the files are made")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.data, arguments.folder, arguments.repeats)
    if arguments.json:
        write(arguments.json, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
