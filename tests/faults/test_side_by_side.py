"""Dates, shards and members of an ensemble in two processes give what one process gives."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta

from medlstm.contracts.raw_to_admitted import validate_date, validate_dates
from medlstm.contracts.validation_groups import validation_groups
from medlstm.ingest.landing_to_raw import ingest_dates, ingest_planned, plan_dates
from medlstm.lake.files import Workspace
from medlstm.sequences.build import build_sequences, build_shards, finish_sequences
from medlstm.sequences.nightly_points import nightly_points
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.training.devices import cpu_threads
from medlstm.training.fit_ensemble import fit_model
from tests.severity_lake import LAST, severity_config, severity_lake
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
        planned = plan_dates(two, DAYS, CONFIG)
        # The last first: the order does not matter once the dates are planned.
        tasks = [pool.submit(ingest_planned, two, plan, CONFIG) for plan in reversed(planned)]
        assert [task.result() for task in reversed(tasks)] == ingested
        assert list(validation_groups(two, DAYS, CONFIG)) == [DAYS]
        assert list(pool.map(validate_date, [two] * 4, DAYS, [CONFIG] * 4)) == validated
        counts = list(pool.map(build_shards, [two] * 2, [DAYS[-1]] * 2, [CONFIG] * 2, ["all"] * 2, [(0,), (1,)]))
        assert finish_sequences(two, DAYS[-1], CONFIG, "all", counts) == summary
    assert _files(two) == _files(one)


def test_members_fitted_side_by_side_are_those_fitted_one_after_the_other(tmp_path):
    place = severity_lake(tmp_path)
    build_sequences(place, LAST, severity_config(), "all")
    sequences = load_sequences(place.sequences(LAST))
    told = {1: [], 2: []}

    def fitted(processes):
        config = severity_config(
            model={"name": "blend", "members": 3, "dropout": 0.3, "sharpness": 1.0},
            training={"min_stays": 20, "max_epochs": 2, "processes": processes},
        )  # fmt: skip
        with cpu_threads(1):
            return fit_model(
                sequences, lambda stays: nightly_points(stays, config.cutoff_instant(LAST)), config,
                lambda loss, sizes: told[processes].append((loss, sizes.members)),
            )  # fmt: skip

    alone, beside = fitted(1), fitted(2)
    for name, weights in alone.network.state_dict().items():
        assert weights.equal(beside.network.state_dict()[name]), name
    assert alone.interval == beside.interval
    assert told[1] == told[2]
    assert [loss.member for loss, _ in told[1]] == [0, 0, 1, 1, 2, 2]
