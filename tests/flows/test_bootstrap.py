"""Years in one export: the first night has a model and a record of errors."""

import json
from datetime import date, timedelta

import pytest
from prefect.artifacts import Artifact

from flows.backtest import backtest
from flows.bootstrap import bootstrap
from flows.nightly import nightly
from medlstm.errors import ConfigError

from .test_nothing_scored import CONFIG, HEADER

AS_OF = date(2026, 3, 20)


@pytest.fixture
def export(tmp_path):
    """Two hundred stays of two months, in files of a month each; some have not ended."""
    folder = tmp_path / "export"
    folder.mkdir()
    begin = AS_OF - timedelta(days=60)
    stays, labs = {1: [HEADER], 2: [HEADER], 3: [HEADER]}, ["stay_id,observed_at,variable,value"]
    for number in range(200):
        day = begin + timedelta(days=number * 60 // 200)
        end = day + timedelta(days=2 + number % 7)
        told = f"{end} 09:00" if end <= AS_OF else ""
        stays[day.month].append(f"s{number},p{number},{day} 08:00,{told}")
        labs += [f"s{number},{day} 12:00,HR,{70 + number % 7}"]
    for month, lines in stays.items():
        (folder / f"stays-{month:02}.csv").write_text("\n".join(lines) + "\n")
    (folder / "labs.csv").write_text("\n".join(labs) + "\n")
    root = tmp_path / "w"
    root.mkdir()
    (root / "medlstm.toml").write_text(CONFIG)
    return root, [str(folder / "*.csv")]


def test_history_is_taken_in_and_the_first_night_is_ready(server, export):
    root, patterns = export
    summary = bootstrap(str(root), patterns, AS_OF, train=True, backtest_days=10)
    assert summary.export.files == 4
    assert [(one.table, one.rows_in, one.admitted) for one in summary.tables] == [
        ("stays", 200, 200), ("observations", 200, 200),
    ]  # fmt: skip
    assert summary.backtest.nights == tuple(AS_OF - timedelta(days=back) for back in (10, 8, 6, 4, 2))
    assert summary.night.scored > 5
    assert summary.night.training is not None
    assert len(summary.night.errors) == 5
    page = (root / "reports" / AS_OF.isoformat() / "index.html").read_text()
    assert "scored afterwards" in page
    # The night after comes with its own drop, as any other.
    (root / "landing" / "2026-03-21").mkdir()
    (root / "landing" / "2026-03-21" / "stays.csv").write_text(f"{HEADER}\nnew,new,2026-03-21 10:00,\n")
    after = nightly(str(root), AS_OF + timedelta(days=1))
    assert (after.extract_dates, after.training, after.scored) == (1, None, summary.night.scored + 1)
    with pytest.raises(ConfigError, match="2026-03-21 has been taken in already"):
        bootstrap(str(root), patterns, AS_OF)
    result = backtest(str(root), AS_OF, AS_OF + timedelta(days=1))
    assert [night.predictions for night in result.nights] == [summary.night.scored, after.scored]
    artifact = Artifact.get("backtest")
    assert [row["night"] for row in json.loads(artifact.data)] == ["2026-03-20", "2026-03-21"]
    assert "no night is settled yet" in artifact.description
    assert (root / "backtests" / "2026-03-20_2026-03-21" / "result.json").is_file()


def test_without_training_the_history_waits_for_its_night(server, export):
    root, patterns = export
    summary = bootstrap(str(root), patterns, AS_OF)
    assert (summary.night, summary.backtest) == (None, None)
    assert summary.sequences.stays == 200
    assert nightly(str(root), AS_OF).training.promoted
