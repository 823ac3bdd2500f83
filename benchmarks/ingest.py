"""12,000 PhysioNet-format stays to admitted Parquet, beside the bare parse of pandas, Polars and DuckDB.

    python -m benchmarks.ingest --data FOLDER --json ingest.json

FOLDER holds set-a.tar.gz, set-b.tar.gz and their Outcomes files. The stays are those of both sets, and set b again
under new identifiers, as 12,000 record files in one landing folder. medlstm does all of it: raw rows with where each
came from, contracts, quarantine, admitted rows; the others only parse the files and write one Parquet file. Imports
are not counted. Each contender runs `--repeats` times in turn, and its median counts.
"""

import argparse
import json
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import great_expectations as _imported  # noqa: F401
import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.machine import folder_bytes, machine_limits
from medlstm.config import parse_config
from medlstm.ingest import ingest_date
from medlstm.lake import Workspace
from medlstm.validate import validate_date

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


def parse_pandas(landing: Path, target: Path) -> int:
    frames = [pd.read_csv(path).assign(source_file=path.name) for path in records(landing)]
    table = pd.concat(frames, ignore_index=True)
    table.to_parquet(target)
    return len(table)


def parse_polars(landing: Path, target: Path) -> int:
    schema = {"Time": pl.String, "Parameter": pl.String, "Value": pl.Float64}
    table = pl.read_csv(records(landing), schema=schema, include_file_paths="source_file")
    table.write_parquet(target)
    return table.height


def parse_duckdb(landing: Path, target: Path) -> int:
    columns = "{'Time': 'VARCHAR', 'Parameter': 'VARCHAR', 'Value': 'DOUBLE'}"
    with duckdb.connect(config={"threads": 2}) as database:
        database.execute(
            f"copy (select * from read_csv('{landing}/[0-9]*.txt', header = true, columns = {columns}, "
            f"filename = true, auto_detect = false)) to '{target}' (format parquet)"
        )
        found = database.execute(f"select count(*) from read_parquet('{target}')").fetchone()
    return int(found[0]) if found else 0


def run_medlstm(root: Path, counts: dict[str, Any]) -> int:
    features = {"numeric": ["Age", "Height", "Weight"], "categorical": ["Gender", "ICUType"]}
    config = parse_config({"source": {"format": "physionet2012"}, "features": features}, {}, "benchmark")
    place = Workspace(root)
    started = time.perf_counter()
    ingested = ingest_date(place, DAY, config)
    between = time.perf_counter()
    reports = validate_date(place, DAY, config).reports
    counts["stages"] = {"ingest": between - started, "contract": time.perf_counter() - between}
    counts["reports"] = {
        one.table: {"rows_in": one.rows_in, "admitted": one.admitted, "quarantined": one.quarantined,
                    "exact_duplicates": one.exact_duplicates} for one in reports
    }  # fmt: skip
    return ingested.observations


def measure(data: Path, folder: Path, repeats: int) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name)
        landing = root / "landing" / DAY.isoformat()
        stays = write_records(data, landing)
        limits = machine_limits(root)
        contenders: dict[str, Callable[[], int]] = {
            "medlstm": lambda: run_medlstm(root, counts),
            "duckdb": lambda: parse_duckdb(landing, root / "duckdb.parquet"),
            "polars": lambda: parse_polars(landing, root / "polars.parquet"),
            "pandas": lambda: parse_pandas(landing, root / "pandas.parquet"),
        }
        seconds: dict[str, list[float]] = {one: [] for one in contenders}
        rows: dict[str, int] = {}
        for _ in range(repeats):
            for one, run in contenders.items():
                shutil.rmtree(root / "lake", ignore_errors=True)
                started = time.perf_counter()
                rows[one] = run()
                seconds[one].append(time.perf_counter() - started)
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
                  "all_seconds": seconds[one]} for one in contenders
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
    # As for the `medlstm` command; see flows/__init__.py.
    pa.set_memory_pool(pa.jemalloc_memory_pool())
    result = measure(arguments.data, arguments.folder, arguments.repeats)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
