"""Dates and shards in two processes give the files that one process gives."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta

from medlstm.contracts.raw_to_admitted import validate_date, validate_dates
from medlstm.contracts.validation_groups import validation_groups
from medlstm.ingest.landing_to_raw import ingest_dates, ingest_planned, plan_dates
from medlstm.lake.files import Workspace
from medlstm.sequences.build import build_sequences, build_shards, finish_sequences
from tests.unit.test_late_and_corrected import CONFIG, _drop, _lab, _stay

DAYS = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(4)]


def _land(root):
    place = Workspace(root)
    for day in DAYS:
        stays = "".join(_stay(day, stay=f"{day.day}-{index}") for index in range(20))
        labs = "".join(_lab(day, index, 60 + index, stay=f"{day.day}-{index}") for index in range(20))
        _drop(place, day, stays=stays, labs=labs)
    return place


def _files(place):
    lake = place.root / "lake"
    return {path.relative_to(lake): path.read_bytes() for path in [*lake.rglob("*.parquet"), *lake.rglob("seq*.json")]}


def test_two_processes_give_the_files_of_one(tmp_path):
    one, two = _land(tmp_path / "one"), _land(tmp_path / "two")
    ingested = list(ingest_dates(one, DAYS, CONFIG))
    validated = list(validate_dates(one, DAYS, CONFIG))
    summary = build_sequences(one, DAYS[-1], CONFIG, "all")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        planned = plan_dates(two, DAYS)
        # The last first: the order does not matter once the dates are planned.
        tasks = [pool.submit(ingest_planned, two, plan, CONFIG) for plan in reversed(planned)]
        assert [task.result() for task in reversed(tasks)] == ingested
        assert list(validation_groups(two, DAYS, CONFIG)) == [DAYS]
        assert list(pool.map(validate_date, [two] * 4, DAYS, [CONFIG] * 4)) == validated
        counts = list(pool.map(build_shards, [two] * 2, [DAYS[-1]] * 2, [CONFIG] * 2, ["all"] * 2, [(0,), (1,)]))
        assert finish_sequences(two, DAYS[-1], CONFIG, "all", counts) == summary
    assert _files(two) == _files(one)
