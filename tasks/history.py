"""History before the first night: an export put in its place, and past nights scored from it."""

import logging
from datetime import date
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from medlstm.history.backtest import BacktestSummary
from medlstm.history.backtest import backtest as backtest_nights
from medlstm.history.place_export import PlacedExport
from medlstm.history.place_export import place_export as place_files
from medlstm.history.rolling_backtest import RollingBacktest
from medlstm.history.rolling_backtest import rolling_backtest as run_rolling_backtest
from medlstm.lake.files import Workspace
from medlstm.report.backtest_files import write_backtest
from medlstm.settings.workspace import load_config
from medlstm.training.train_loop import epochs_done
from tasks.progress import report_progress

logger = logging.getLogger("medlstm.tasks")


@task(name="place_export", cache_policy=NO_CACHE)
def place_export(workspace: str, patterns: list[str], as_of: date) -> PlacedExport:
    """Put the files of an export into the landing folder of a date."""
    placed = place_files(Workspace(Path(workspace)), patterns, as_of)
    logger.info("bootstrap %s: %d files, %d bytes", as_of, placed.files, placed.bytes)
    return placed


@task(name="backtest", cache_policy=NO_CACHE)
def backtest(workspace: str, as_of: date, days: int) -> BacktestSummary:
    """Train as of some days before a date, and score nights from then on."""
    place = Workspace(Path(workspace))
    summary = backtest_nights(
        place, as_of, load_config(place.root), days,
        on_night=lambda done, total: report_progress("backtest", done, total),
        on_epoch=lambda loss, sizes: report_progress("backtest's training", *epochs_done(loss, sizes)),
    )  # fmt: skip
    logger.info("backtest %s: %d nights, %d predictions %s", as_of, len(summary.nights), summary.predictions,
                summary.note)  # fmt: skip
    return summary


@task(name="rolling backtest", cache_policy=NO_CACHE)
def rolling_backtest(workspace: str, start: date, end: date, every_days: int) -> RollingBacktest:
    """Run past nights anew with models of their time, and write what came of them."""
    place = Workspace(Path(workspace))
    result = run_rolling_backtest(
        place, start, end, every_days, load_config(place.root),
        on_night=lambda done, total: report_progress("backtest", done, total),
        on_epoch=lambda loss, sizes: report_progress("backtest's training", *epochs_done(loss, sizes)),
    )  # fmt: skip
    write_backtest(result)
    logger.info("backtest %s to %s: %d nights, %d models", start, end, len(result.nights), len(result.models))
    return result
