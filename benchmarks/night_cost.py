"""What a night without a training costs, from ingest to the page, in a lake of few dates and in one of many.

    python benchmarks/night_cost.py --dates 30 1000 --json night_cost.json

Two synthetic hospitals of the same daily size (8,000 measurements, 80 admissions, stays of two days). All dates but the
last are taken in, a small model is trained some days before, and then the last night is run by the same functions as
the tasks call, in a process of its own, from a copy for each repetition. The ratio of the medians is what the past
costs; imports are not counted.
"""

import argparse
import json
import multiprocessing
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.results import write
from benchmarks.scale import write_hospital

ROWS_PER_DATE, ROWS_PER_STAY = 8_000, 100
BAR = 1.2
_TRAINED_DAYS_BEFORE = 5


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dates", type=int, nargs=2, default=[30, 1000])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the data is made")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured = {str(dates): measure(dates, options.repetitions, options.folder) for dates in sorted(options.dates)}
    few, many = measured.values()
    ratio = {name: many[name]["seconds"] / max(few[name]["seconds"], 1e-3) for name in few}
    result = {"measured": measured, "ratio": ratio, "bar": {"total": BAR, "holds": ratio["total"] <= BAR}}
    if options.json:
        write(options.json, result)
    print(json.dumps(result, indent=1))


def measure(dates: int, repetitions: int, folder: Path) -> dict[str, dict[str, float]]:
    """Median wall and CPU seconds of each step of the last night, and of the whole."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch) / "hospital"
        days = write_hospital(root, dates * ROWS_PER_DATE, ROWS_PER_DATE, ROWS_PER_STAY)
        _apart(take_in_the_past, root, days)
        runs = []
        for repetition in range(repetitions):
            copy = Path(scratch) / f"night-{repetition}"
            shutil.copytree(root, copy)
            runs.append(_apart(run_night, copy, days[-1]))
            shutil.rmtree(copy)
    return {
        step: {kind: statistics.median(run[step][kind] for run in runs) for kind in ("seconds", "cpu_seconds")}
        for step in runs[0]
    }


def _apart(step: Any, *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(step, *arguments).result()


def _config() -> Any:
    from medlstm.settings.workspace import parse_config

    mappings = [{"pattern": f"{table}.parquet", "table": table} for table in ("stays", "observations")]
    content = {
        "source": {"format": "csv", "files": mappings},
        "model": {"name": "gbm", "members": 1},
        "training": {"min_stays": 20, "retrain_every_days": 30},
        "scoring": {"top_reasons": 0},
    }
    return parse_config(content, {}, "night_cost")


def take_in_the_past(root: Path, days: list[date]) -> None:
    """Every date but the last, a training some days before, and the nights since."""
    from medlstm.contracts.raw_to_admitted import validate_dates
    from medlstm.ingest.landing_to_raw import ingest_dates
    from medlstm.lake.files import Workspace
    from medlstm.registry.nightly_training import train_night
    from medlstm.report.gather import write_report
    from medlstm.scoring.score_night import score_night
    from medlstm.sequences.build import build_sequences

    place, config = Workspace(root), _config()
    list(ingest_dates(place, days[:-1], config))
    list(validate_dates(place, days[:-1], config))
    for back in range(_TRAINED_DAYS_BEFORE, 0, -1):
        night = days[-1] - timedelta(days=back)
        build_sequences(place, night, config, "all" if back == _TRAINED_DAYS_BEFORE else "open")
        if back == _TRAINED_DAYS_BEFORE:
            trained = train_night(place, night, config)
            if trained.version is None:
                raise RuntimeError(trained.note)
        score_night(place, night, config)
        write_report(place, night, config, "done", [])


def run_night(root: Path, night: date) -> dict[str, dict[str, float]]:
    """The steps of a night, timed."""
    import great_expectations  # noqa: F401

    from medlstm.contracts.raw_to_admitted import dates_to_validate, validate_dates
    from medlstm.ingest.landing_to_raw import dates_to_ingest, ingest_dates
    from medlstm.lake.files import Workspace
    from medlstm.registry.versions import night_scope, training_due
    from medlstm.report.gather import write_report
    from medlstm.scoring.score_night import score_night
    from medlstm.sequences.build import build_sequences

    place, config, every = Workspace(root), _config(), 30
    if training_due(place, night, every):
        raise RuntimeError(f"a training is due at {night}")
    steps = {
        "ingest": lambda: list(ingest_dates(place, dates_to_ingest(place, night), config)),
        "validate": lambda: list(validate_dates(place, dates_to_validate(place, night), config)),
        "preprocess": lambda: build_sequences(place, night, config, night_scope(place, night, every)),
        "score": lambda: score_night(place, night, config),
        "report": lambda: write_report(place, night, config, "done", []),
    }
    found = {}
    for name, step in steps.items():
        started, used = time.perf_counter(), time.process_time()
        step()
        found[name] = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used}
    found["total"] = {kind: sum(one[kind] for one in found.values()) for kind in ("seconds", "cpu_seconds")}
    return found


if __name__ == "__main__":
    main()
