"""A large hospital through ingest, contracts, as-of view and binning: rows a second, memory, and how both scale.

    python -m benchmarks.scale --rows 10000000 100000000 --json scale.json

Synthetic measurements like those of PhysioNet 2012 (417 a stay over two days, 37 variables), delivered as one Parquet
file of text a date (250,000 rows), with wrong, repeated and unreadable values among them. Each size runs in a process
of its own; making the data is not counted, imports are not either.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import folder_bytes, machine_limits
from benchmarks.results import write

ROWS_PER_DATE = 250_000
ROWS_PER_STAY = 417
VARIABLES = (
    "Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "DiasABP", "FiO2", "GCS",
    "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "Mg", "MAP", "MechVent", "Na", "NIDiasABP", "NIMAP", "NISysABP",
    "PaCO2", "PaO2", "pH", "Platelets", "RespRate", "SaO2", "SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC",
    "Weight",
)  # fmt: skip
_VALUES = [*map(str, range(100)), "0.5", "1", "7.4", "140", "99999", "n/a"]
_USUAL = {"FiO2": 100, "MechVent": 101, "pH": 102, "GCS": 102, "Temp": 37, "Na": 103, "Mg": 102, "K": 102,
          "Albumin": 102}  # fmt: skip
FIRST = date(2026, 1, 1)
BARS = {"rows_per_second": 1e6, "binning_rows_per_second": 7e6, "peak_rss_gb": 2.0, "time_per_row_ratio": 1.3}


def write_hospital(
    root: Path, rows: int, rows_per_date: int = ROWS_PER_DATE, rows_per_stay: int = ROWS_PER_STAY
) -> list[date]:
    """Landing folders with `rows` observations; the dates."""
    dates = max(rows // rows_per_date, 3)
    per_date = rows // dates
    stays_per_date = max(per_date // rows_per_stay, 1)
    generator = np.random.default_rng(0)
    admitted = np.sort(generator.integers(0, 1440, (dates, stays_per_date)), axis=1)
    days = [FIRST + timedelta(days=index) for index in range(dates)]
    for index, day in enumerate(days):
        folder = root / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        pq.write_table(_stays(days, admitted, index), folder / "stays.parquet")
        count = rows - per_date * (dates - 1) if index == dates - 1 else per_date
        pq.write_table(_observations(days, admitted, index, count, generator), folder / "observations.parquet")
    return days


def _stay_ids(day: int, numbers: np.ndarray) -> list[str]:
    return [f"stay-{day:04d}-{number:06d}" for number in numbers]


def _minute_text(day: date, minutes: np.ndarray) -> list[str]:
    return [f"{day.isoformat()}T{minute // 60:02d}:{minute % 60:02d}:00" for minute in minutes]


def _stays(days: list[date], admitted: np.ndarray, index: int) -> pa.Table:
    """Those admitted on the date, and those that leave on it, two days after."""
    ids: list[str] = []
    patients: list[str] = []
    starts: list[str] = []
    ends: list[str | None] = []
    for begun, ended in ((index, False), (index - 2, True)):
        if begun < 0:
            continue
        names = _stay_ids(begun, np.arange(admitted.shape[1]))
        ids += names
        patients += [name.replace("stay", "patient") for name in names]
        starts += _minute_text(days[begun], admitted[begun])
        ends += _minute_text(days[index], admitted[begun]) if ended else [None] * len(names)
    return pa.table({"stay_id": ids, "patient_id": patients, "admitted_at": starts,
                     "discharged_at": pa.array(ends, pa.string())})  # fmt: skip


def _observations(
    days: list[date], admitted: np.ndarray, index: int, rows: int, generator: np.random.Generator
) -> pa.Table:
    """Rows of the stays in a bed on the date, in the order of time, with faults: one in 500 wrong, as many twice."""
    begun = [day for day in (index - 2, index - 1, index) if day >= 0]
    first = np.concatenate([np.zeros(admitted.shape[1], int) if day < index else admitted[day] for day in begun])
    last = np.concatenate([admitted[day] if day == index - 2 else np.full(admitted.shape[1], 1440) for day in begun])
    weight = np.maximum(last - first, 0) + 1e-9
    stay = np.sort(generator.choice(len(first), rows, p=weight / weight.sum()))
    minute = first[stay] + (generator.random(rows) * (last[stay] - first[stay])).astype(int)
    order = np.argsort(minute, kind="stable")
    twice = generator.random(rows) < 0.002
    twice[0] = False
    order[twice] = order[np.flatnonzero(twice) - 1]
    variable = generator.integers(0, len(VARIABLES), rows).astype(np.int32)
    value = generator.integers(30, 60, rows).astype(np.int32)
    for name, code in _USUAL.items():
        value[variable == VARIABLES.index(name)] = code
    wrong = generator.random(rows) < 0.002
    value[wrong] = generator.choice([104, 105], int(wrong.sum()))
    ids = [name for day in begun for name in _stay_ids(day, np.arange(admitted.shape[1]))]
    columns = {
        "stay_id": (stay[order].astype(np.int32), ids),
        "observed_at": (minute[order].astype(np.int32), _minute_text(days[index], np.arange(1440))),
        "variable": (variable[order], list(VARIABLES)),
        "value": (value[order], _VALUES),
    }
    return pa.table({name: pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))
                     for name, (codes, distinct) in columns.items()})  # fmt: skip


def run_chain(root: str, days: list[date], rows: int, memory_limit_gb: float) -> dict[str, Any]:
    """Every step over the landing folders, timed; in a process of its own, so that its peak memory is its own."""

    from medlstm.contracts.raw_to_admitted import ValidationSummary, validate_dates
    from medlstm.ingest.landing_to_raw import ingest_dates
    from medlstm.lake.files import Workspace
    from medlstm.sequences.build import binned_stays, build_sequences
    from medlstm.sequences.cohort import load_cohort
    from medlstm.settings.workspace import parse_config

    # As for the `medlstm` command; see flows/__init__.py.
    pa.set_memory_pool(pa.jemalloc_memory_pool())
    mappings = [{"pattern": f"{table}.parquet", "table": table} for table in ("stays", "observations")]
    config = parse_config(
        {"source": {"format": "csv", "files": mappings}, "workspace": {"memory_limit_gb": memory_limit_gb}}, {}, "scale"
    )
    place = Workspace(Path(root))
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}

    def timed(name: str, step: Any) -> Any:
        started, used = time.perf_counter(), time.process_time()
        result = step()
        seconds[name], cpu[name] = time.perf_counter() - started, time.process_time() - used
        return result

    taken = timed("ingest", lambda: sum(one.observations for one in ingest_dates(place, days, config)))
    results = timed("contract", lambda: list(validate_dates(place, days, config)))
    assert all(isinstance(one, ValidationSummary) for one in results), results
    reports = [report for one in results for report in one.reports if report.table == "observations"]
    admitted = sum(report.admitted for report in reports)
    assert taken == rows == sum(one.admitted + one.quarantined + one.exact_duplicates for one in reports)
    sequences = timed("as_of_and_binning", lambda: build_sequences(place, days[-1], config, "all"))
    cohort = load_cohort(place, days[-1], config)
    timed("binning", lambda: sum(len(one.stay) for one in binned_stays(place, cohort, config)))
    total = seconds["ingest"] + seconds["contract"] + seconds["as_of_and_binning"]
    lake = place.root / "lake"
    return {
        "rows": rows,
        "dates": len(days),
        "stays": sequences.stays,
        "binned_rows": sequences.rows,
        "admitted": admitted,
        "quarantined": sum(report.quarantined for report in reports),
        "exact_duplicates": sum(report.exact_duplicates for report in reports),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rows_per_second": rows / total,
        "binning_rows_per_second": admitted / seconds["binning"],
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "bytes": {
            "landing": folder_bytes(place.root / "landing"),
            "raw": folder_bytes(lake / "raw"),
            "admitted": folder_bytes(lake / "observations") + folder_bytes(lake / "stays"),
            "sequences": folder_bytes(lake / "sequences"),
        },
    }


def _measure(rows: int, memory_limit_gb: float, folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as root:
        days = write_hospital(Path(root), rows)
        limits = machine_limits(Path(root))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            result = pool.submit(run_chain, root, days, rows, memory_limit_gb).result()
    sizes = result["bytes"]
    written = sizes["raw"] + sizes["admitted"] + sizes["sequences"]
    total = sum(result["seconds"][step] for step in ("ingest", "contract", "as_of_and_binning"))
    result["machine"] = limits
    # Rows of the binning pass through memory about three times: read, placed, gathered; 20 bytes each.
    result["share_of_limit"] = {
        "durable_writes": written / limits["durable_write_gb_per_second"] / 1e9 / total,
        "memory_while_binning": 3 * 20 * result["admitted"] / result["seconds"]["binning"] / 1e9
        / limits["memory_gb_per_second"],
    }  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000])
    parser.add_argument("--memory-limit-gb", type=float, default=1.5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the data is made")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = [_measure(rows, arguments.memory_limit_gb, arguments.folder) for rows in sorted(arguments.rows)]
    result = {**runs[-1], "runs": runs}
    if len(runs) > 1:
        result["time_per_row_ratio"] = runs[0]["rows_per_second"] / runs[-1]["rows_per_second"]
    result["bars"] = {name: _holds(name, result[name]) for name in BARS if name in result}
    if arguments.json:
        write(arguments.json, result)
    print(json.dumps(result, indent=1))


def _holds(name: str, value: float) -> dict[str, Any]:
    smaller_is_better = name in ("peak_rss_gb", "time_per_row_ratio")
    return {"bar": BARS[name], "value": value,
            "holds": value <= BARS[name] if smaller_is_better else value >= BARS[name]}  # fmt: skip


if __name__ == "__main__":
    main()
