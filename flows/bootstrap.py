"""Begin a workspace with years of history in one export, so that the first night has a model and a record."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import flow

from flows.night_date import held_date
from flows.nightly import NightSummary, RunningNight, finish, take_in, total_counts
from flows.steps import preprocess
from medlstm.history.backtest import BacktestSummary
from medlstm.history.place_export import PlacedExport
from medlstm.lake.files import Workspace
from medlstm.report.content import TableCounts
from medlstm.sequences.build import SequenceSummary
from tasks.history import backtest, place_export


@dataclass(frozen=True)
class BootstrapSummary:
    """What the export held and what became of it; without a training neither backtest nor night, but sequences."""

    as_of: date
    export: PlacedExport
    tables: tuple[TableCounts, ...]
    warnings: tuple[str, ...]
    sequences: SequenceSummary | None
    backtest: BacktestSummary | None
    night: NightSummary | None


@flow(name="bootstrap", flow_run_name="bootstrap {as_of}")
def bootstrap(
    workspace: str, patterns: list[str], as_of: date, train: bool = False, backtest_days: int = 28
) -> BootstrapSummary:
    """Take an export in as the drop of `as_of`. With `train`: score nights of the last `backtest_days` from it (0:
    none), train, and run the night itself.

    Raises ConfigError where another date has been taken in, ContractStopped where the contracts refuse the export.
    """
    place = Workspace(Path(workspace))
    with held_date(workspace, as_of) as day:
        export = place_export(workspace, patterns, day)
        running = RunningNight()
        taken_in = take_in(place, day, running)
        tables = total_counts(taken_in.outcome)
        if not train:
            sequences = preprocess(workspace, day, "all")
            return BootstrapSummary(day, export, tables, tuple(running.said()), sequences, None, None)
        past = None
        if backtest_days:
            with running.step("backtest"):
                past = backtest(workspace, day, backtest_days)
        night = finish(place, day, running, taken_in)
        return BootstrapSummary(day, export, tables, night.warnings, None, past, night)
