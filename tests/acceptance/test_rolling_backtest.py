"""Past nights run anew: what they give, what they leave alone, and that none knows what came after it."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from medlstm.errors import MedlstmError
from medlstm.evaluation.judged_nights import score_nights
from medlstm.evaluation.stored_nights import judged_predictions
from medlstm.history.rolling_backtest import _without_few, rolling_backtest
from medlstm.lake.files import partition_file, read_table
from medlstm.registry.nightly_training import train_night
from medlstm.registry.versions import champion
from medlstm.report.backtest_files import night_rows, summary_lines, write_backtest
from medlstm.scoring.score_night import score_night
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from tests.severity_lake import LAST, START, severity_config, severity_lake

FIRST, LATEST = LAST - timedelta(days=12), LAST - timedelta(days=4)
CONFIG = severity_config(training={"min_stays": 20, "max_epochs": 3})


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return severity_lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def result(lake):
    return rolling_backtest(lake, FIRST, LATEST, 6, CONFIG)


def test_it_trains_at_its_start_and_every_so_many_days_and_scores_each_night(result):
    assert [model.trained_as_of for model in result.models] == [FIRST, FIRST + timedelta(days=6)]
    assert [night.as_of for night in result.nights] == [FIRST + timedelta(days=day) for day in range(9)]
    assert result.known_as_of == LAST
    assert result.settled is not None
    assert result.settled.mae_days < result.settled.baseline_mae_days
    assert result.distribution.integrated_brier < result.distribution.baseline_integrated_brier
    assert 0.6 < result.distribution.concordance < 1


def test_each_night_is_what_a_night_of_a_lake_that_ends_there_gives(lake, result, tmp_path):
    """Nothing that came after it can have told the backtest's night anything."""
    shutil.copytree(lake.root, tmp_path / "w", ignore=shutil.ignore_patterns("backtests"))
    place, night = type(lake)(tmp_path / "w"), FIRST + timedelta(days=2)
    for table in ("stays", "observations"):
        for folder in place.admitted(table).iterdir():
            if folder.name > f"extract_date={night}":
                shutil.rmtree(folder)
    build_sequences(place, FIRST, CONFIG, "all")
    train_night(place, FIRST, CONFIG)
    build_sequences(place, night, CONFIG, "open")
    score_night(place, night, CONFIG)
    backtested = lake.root / "backtests" / f"{FIRST}_{LATEST}" / "predictions"
    stored, expected = (read_table(partition_file(folder, night, key="as_of")).drop_columns("reasons")
                        for folder in (backtested, place.predictions))  # fmt: skip
    assert stored.equals(expected)


def test_the_workspace_itself_is_left_alone(lake, result):
    assert champion(lake, LAST) is None
    assert not lake.predictions.exists()
    assert not lake.sequences(FIRST).exists()
    assert not list((lake.root / "backtests" / f"{FIRST}_{LATEST}" / "sequences").glob("*"))


def test_its_files_say_what_it_found_and_name_no_stay(lake, result):
    write_backtest(result)
    folder = lake.root / "backtests" / f"{FIRST}_{LATEST}"
    content = json.loads((folder / "result.json").read_text())
    assert content["folder"] == folder.name
    assert content["settled"]["mae_days"] == result.settled.mae_days
    table = pd.read_csv(folder / "nights.csv")
    assert table["night"].tolist() == [night.as_of.isoformat() for night in result.nights]
    assert table.loc[0, "MAE, days"] == f"{result.nights[0].mae_days:.2f}"
    assert (folder / "nights.svg").read_bytes().lstrip().startswith(b"<?xml")
    told = " ".join([(folder / name).read_text() for name in ("result.json", "nights.csv", "nights.svg")])
    assert '"s1' not in told
    assert any("delivered over promised" in line for line in summary_lines(result))


def test_a_night_that_is_not_settled_has_no_error(lake):
    young = rolling_backtest(lake, LAST - timedelta(days=1), LAST, 6, CONFIG)
    assert young.settled is None
    assert [row[3] for row in night_rows(young)] == ["unsettled", "unsettled"]
    assert any("no night is settled" in line for line in summary_lines(young))
    assert young.distribution is not None
    write_backtest(young)


def test_a_night_of_a_few_stays_shows_no_error(result):
    few = replace(result.nights[0], predictions=4, ended=4)
    assert _without_few(few, 5).mae_days is None
    assert _without_few(few, 4) == few
    (row,) = night_rows(replace(result, nights=(_without_few(few, 5),)))
    assert row[3:] == ("–", f"{few.promised_mae_days:.2f}", "–", "–")


def test_what_was_not_trained_is_said(lake):
    early = rolling_backtest(lake, START, START + timedelta(days=1), 6, CONFIG)
    assert (early.models, early.nights, early.distribution) == ((), (), None)
    assert len(early.notes) == 2
    assert "not trained" in early.notes[0]


def test_dates_that_cannot_be_are_refused(lake):
    with pytest.raises(MedlstmError, match="no night"):
        rolling_backtest(lake, LAST, FIRST, 7, CONFIG)
    with pytest.raises(MedlstmError, match="its first date is"):
        rolling_backtest(lake, START - timedelta(days=1), LAST, 7, CONFIG)


def test_predictions_are_judged_by_the_ends_of_the_later_date(lake, result):
    place = type(lake)(lake.root)
    cohort = load_cohort(place, LAST, CONFIG)
    backtested = lake.root / "backtests" / f"{FIRST}_{LATEST}"

    class Outputs(type(lake)):
        predictions = backtested / "predictions"

    judged = judged_predictions(Outputs(lake.root), [FIRST], cohort, {result.models[0].version: 1.25}, CONFIG)
    stored = read_table(partition_file(backtested / "predictions", FIRST, key="as_of")).to_pandas()
    ends = cohort.frame.set_index("stay_id").loc[stored["stay_id"]]
    days = (ends["end_at"] - pd.Timestamp(CONFIG.cutoff_instant(FIRST))).dt.total_seconds() / 86400
    assert judged["known_days"].tolist() == pytest.approx(days.tolist())
    assert judged["ended"].tolist() == (~ends["is_open"]).tolist()
    assert set(judged["promised_mae_days"]) == {1.25}
    assert score_nights(judged)[0].mae_days == result.nights[0].mae_days
