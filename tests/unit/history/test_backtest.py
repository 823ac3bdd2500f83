import shutil
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from medlstm.evaluation.stored_nights import backtested_nights
from medlstm.history.backtest import backtest
from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace, partition_dates, partition_file, read_table
from medlstm.registry.versions import champion
from medlstm.report.gather import gather_report
from medlstm.report.page import render_report
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.training.train_loop import epochs_done
from tests.severity_lake import LAST, START, severity_config, write_days

FIRST = LAST - timedelta(days=8)
CONFIG = severity_config(model={"name": "median"}, training={"min_stays": 20})


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Stays of a month, each with a value every twelve hours, all of which came on the last date."""
    place = Workspace(tmp_path_factory.mktemp("export"))
    generator = np.random.default_rng(5)
    stays, observations = [], []
    for index in range(300):
        admitted = datetime.combine(START, datetime.min.time()) + timedelta(hours=int(generator.integers(0, 28 * 24)))
        discharged = admitted + timedelta(hours=float(generator.lognormal(4.0, 0.6)))
        end = discharged if discharged.date() <= LAST else None
        stays.append((f"s{index}", f"p{index}", admitted, end, end is not None, 60.0, "ab"[index % 2]))
        at = admitted
        while at < discharged and at.date() <= LAST:
            observations.append((f"s{index}", at, "severity", at.timestamp()))
            at += timedelta(hours=12)
    write_days(place, "stays", {LAST: stays}, tables.stays_schema(["age"], ["ward"]))
    write_days(place, "observations", {LAST: observations}, tables.OBSERVATIONS_SCHEMA)
    return place


def test_a_past_night_sees_nothing_that_happened_after_its_cutoff(lake):
    cutoff = CONFIG.cutoff_instant(FIRST)
    assert load_cohort(lake, FIRST, CONFIG).frame.empty
    stays = load_cohort(lake, FIRST, CONFIG, known_as_of=LAST).frame
    known = load_cohort(lake, LAST, CONFIG).frame.set_index("stay_id")
    assert len(stays) == (known["admitted_at"] < pd.Timestamp(cutoff)).sum() < len(known)
    assert stays["is_open"].sum() > 10
    assert (stays["end_at"] <= pd.Timestamp(cutoff)).all()
    assert stays.loc[stays["is_open"], "died"].isna().all()
    build_sequences(lake, FIRST, CONFIG, "all", known_as_of=LAST)
    assert load_sequences(lake.sequences(FIRST)).values.max() < cutoff.timestamp()


def _ended_before(root, days):
    """A lake of sixty stays that all had ended so many days before the last date."""
    end = datetime.combine(LAST, datetime.min.time()) - timedelta(days=days)
    stays = [(f"s{index}", f"p{index}", end - timedelta(days=1 + index % 5), end, False, 60.0, "a")
             for index in range(60)]  # fmt: skip
    measured = [(stay, begun, "severity", 1.0) for stay, _, begun, *_ in stays]
    place = Workspace(root)
    write_days(place, "stays", {LAST: stays}, tables.stays_schema(["age"], ["ward"]))
    write_days(place, "observations", {LAST: measured}, tables.OBSERVATIONS_SCHEMA)
    return place


def test_nights_that_found_nobody_in_a_bed_were_not_scored(tmp_path):
    place = _ended_before(tmp_path, 30)
    summary = backtest(place, LAST, CONFIG, 8)
    assert (summary.nights, summary.predictions) == ((), 0)
    assert summary.note == f"nobody was in a bed from {FIRST} to {LAST - timedelta(days=2)}"


def test_the_page_of_nobody_shows_the_model_that_would_have_scored(tmp_path):
    place = _ended_before(tmp_path, 30)
    version = backtest(place, LAST, CONFIG, 8).model_version
    report = gather_report(place, LAST, CONFIG, "warning", [])
    assert (report.nothing.cause, report.model.version, report.model.stale) == ("empty", version, False)
    page = " ".join(render_report(report).split())
    assert "It scored nobody this night." in page
    assert "No model has been trained yet" not in page
    stopped = gather_report(place, LAST, CONFIG, "stopped", [])
    assert (stopped.nothing, stopped.model.version) == (None, version)


def test_too_little_history_is_said(lake):
    summary = backtest(lake, LAST, severity_config(training={"min_stays": 5000}), 8)
    assert summary.nights == ()
    assert "min_stays = 5000" in summary.note


def test_how_far_the_training_is_is_told(lake, tmp_path):
    place, epochs = Workspace(tmp_path), []
    shutil.copytree(lake.root / "lake", place.root / "lake", ignore=shutil.ignore_patterns("predictions"))
    config = severity_config(training={"min_stays": 20, "max_epochs": 2})
    backtest(place, LAST, config, 2, on_epoch=lambda loss, sizes: epochs.append(epochs_done(loss, sizes)))
    assert epochs == [(1, 2), (2, 2)]


def test_past_nights_are_scored_from_an_export_and_the_page_says_so(lake):
    seen = []
    summary = backtest(lake, LAST, CONFIG, 8, lambda done, total: seen.append((done, total)))
    assert summary.nights == tuple(FIRST + timedelta(days=offset) for offset in (0, 2, 4, 6))
    assert tuple(partition_dates(lake.predictions)) == summary.nights
    assert backtested_nights(lake) == set(summary.nights)
    assert seen == [(done, 4) for done in range(5)]
    rows = read_table(partition_file(lake.predictions, FIRST, key="as_of")).to_pandas()
    assert set(rows["model_version"]) == {summary.model_version}
    assert summary.model_version.startswith(FIRST.isoformat())
    assert champion(lake, FIRST - timedelta(days=1)) is None
    report = gather_report(lake, LAST, CONFIG, "done", [])
    assert [night.as_of for night in report.nights] == list(summary.nights)
    assert report.backtested_nights == 4
    assert "4 of these nights were scored afterwards" in " ".join(render_report(report).split())


def test_a_backtest_run_again_gives_the_same_bytes(lake):
    backtest(lake, LAST, CONFIG, 8)
    before = {path: path.read_bytes() for path in lake.predictions.rglob("*.parquet")}
    backtest(lake, LAST, CONFIG, 8)
    assert {path: path.read_bytes() for path in lake.predictions.rglob("*.parquet")} == before
