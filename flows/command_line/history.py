"""`medlstm bootstrap`: years of history before the first night; `medlstm backtest`: past nights run anew."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import JsonOption, WorkspaceOption, root_of
from flows.command_line.running import run_flow
from medlstm.settings.workspace import parse_date


def bootstrap(
    history: Annotated[list[str], typer.Option("--history", help="File, folder or pattern of the export; repeatable.")],
    as_of: Annotated[str, typer.Option("--as-of", help="The date on which the export was made.")],
    more: Annotated[list[str] | None, typer.Argument(help="More of them, as a shell spells a pattern out.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train, score past nights, and run the first night.")] = False,
    backtest_days: Annotated[int, typer.Option(min=0, max=365, help="Past nights to score; 0: none.")] = 28,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Begin with years of history in one export, taken in by the workspace's own mapping and contracts."""
    from flows.bootstrap import bootstrap as flow

    patterns = [*history, *(more or [])]
    run_flow(lambda: flow(root_of(workspace), patterns, parse_date(as_of), train, backtest_days), as_json)


def backtest(
    start: Annotated[str, typer.Option("--start", help="First night; the first training is as of it.")],
    end: Annotated[str, typer.Option("--end", help="Last night.")],
    every: Annotated[int, typer.Option("--every", min=1, max=365, help="Days from one training to the next.")] = 7,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Train as of past dates, score the nights that followed as they knew, and judge them by what is known now."""
    from flows.backtest import backtest as flow

    run_flow(lambda: flow(root_of(workspace), parse_date(start), parse_date(end), every), as_json)
