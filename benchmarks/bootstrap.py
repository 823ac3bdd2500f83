"""Years of history in one export, taken in by `medlstm bootstrap`: seconds and memory, with and without training.

    python benchmarks/bootstrap.py --rows 10000000 --train --json bootstrap.json

A hospital of made-up stays over three years, measured as often as those of PhysioNet 2012 (417 rows a stay in the mean,
36 variables), as a CSV file of stays and one of results for each year. Who is sicker has higher values and stays
longer, so that there is something to learn. The command runs in a process of its own with the settings that it has by
default.
"""

import argparse
import json
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from benchmarks.command import medlstm
from benchmarks.machine import folder_bytes, machine_limits
from benchmarks.results import write

ROWS_PER_STAY = 417
VARIABLES = 36
DAYS = 1_095
FIRST = np.datetime64("2023-01-01T00:00:00", "s")
AS_OF = date(2023, 1, 1) + timedelta(days=DAYS - 1)
_DAY_SECONDS = 86_400
_CONFIG = """[workspace]
timezone = "UTC"

[source]
format = "csv"
[[source.files]]
pattern = "stays.csv"
table = "stays"
[[source.files]]
pattern = "results_*.csv"
table = "observations"
"""


def write_export(folder: Path, rows: int) -> int:
    """`stays.csv` and `results_YEAR.csv`; the number of stays."""
    generator = np.random.default_rng(0)
    stays = max(rows // ROWS_PER_STAY, 100)
    severity = generator.normal(size=stays)
    admitted = np.sort(generator.integers(0, DAYS * _DAY_SECONDS, stays))
    length = (np.exp(generator.normal(1.3 + 0.5 * severity, 0.5)) * _DAY_SECONDS).astype(np.int64)
    ended = admitted + length < DAYS * _DAY_SECONDS
    names = pc.binary_join_element_wise("stay", pa.array(np.arange(stays)).cast(pa.string()), "-")
    begun = pa.array(_instants(admitted).astype(str))
    left = pa.array(_instants(admitted + length).astype(str), mask=~ended)
    columns = {"stay_id": names, "patient_id": names, "admitted_at": begun, "discharged_at": left}
    pacsv.write_csv(pa.table(columns), folder / "stays.csv")
    # As many an hour in each stay: were there as many in all, their density would tell how long it goes on.
    followed = np.minimum(length, DAYS * _DAY_SECONDS - admitted)
    stay = np.sort(generator.choice(stays, rows, p=followed / followed.sum()))
    at = _instants(admitted[stay] + (generator.random(rows) * followed[stay]).astype(np.int64))
    variable = generator.integers(0, VARIABLES, rows)
    value = np.round(80 + 8 * severity[stay] * (variable % 3 == 0) + generator.normal(0, 6, rows), 1)
    years = at.astype("datetime64[Y]")
    for year in np.unique(years):
        those = np.flatnonzero(years == year)
        columns = {"stay_id": names.take(stay[those]), "observed_at": pa.array(at[those]),
                   "variable": pc.binary_join_element_wise("v", pa.array(variable[those]).cast(pa.string()), ""),
                   "value": pa.array(value[those])}  # fmt: skip
        pacsv.write_csv(pa.table(columns), folder / f"results_{year}.csv")
    return stays


def _instants(seconds: np.ndarray) -> np.ndarray:
    return FIRST + seconds.astype("timedelta64[s]")


def bootstrap(root: Path, export: Path, train: bool) -> dict[str, Any]:
    """Seconds of the command, the memory of its largest process, and what it said."""
    started = time.monotonic()
    said = medlstm("bootstrap", "--workspace", root, "--json", "--history", export, "--as-of", AS_OF,
                   *(["--train"] if train else []))  # fmt: skip
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return {"seconds": seconds, "peak_rss_gb": peak, "said": json.loads(said.splitlines()[-1])}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the export and the workspace are made and left")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        export, root = folder / "export", folder / "workspace"
        export.mkdir(parents=True)
        root.mkdir()
        (root / "medlstm.toml").write_text(_CONFIG, encoding="utf-8")
        stays = write_export(export, options.rows)
        result = {"rows": options.rows, "stays": stays, "bytes": folder_bytes(export),
                  "machine": machine_limits(folder), **bootstrap(root, export, options.train)}  # fmt: skip
    if options.json:
        write(options.json, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
