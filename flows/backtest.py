"""Rolling origin: what models trained as of past dates would have told the nights that followed."""

from datetime import date

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.night_date import require_workspace_format
from medlstm.history.rolling_backtest import RollingBacktest
from medlstm.report.backtest_files import HEADING, night_rows, summary_lines
from tasks.history import rolling_backtest


@flow(name="backtest", flow_run_name="backtest {start} to {end}")
def backtest(workspace: str, start: date, end: date, every_days: int = 7) -> RollingBacktest:
    """Train every `every_days` days from `start` on with what was known, score each night up to `end`, and judge them
    by what is known now; the workspace's own models and predictions stay as they are.

    Raises MedlstmError where the lake has no date up to `start`.
    """
    require_workspace_format(workspace)
    result = rolling_backtest(workspace, start, end, every_days)
    create_table_artifact(
        table=[dict(zip(HEADING, row, strict=True)) for row in night_rows(result)],
        key="backtest",
        description="\n".join(f"- {line}" for line in summary_lines(result)),
    )
    return result
