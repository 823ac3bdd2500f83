"""The `medlstm` command: a thin caller of the flows, for people and (with --json) for programs.

The flows are imported within each command: Prefect takes seconds to import, and `--help` should not.
"""

import os
import sys
from datetime import date
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.history import backtest, bootstrap
from flows.command_line.inspection import inspect
from flows.command_line.lake import export, lake, quarantine
from flows.command_line.options import AsOfOption, JsonOption, WorkspaceOption, date_of, root_of
from flows.command_line.printing import printable
from flows.command_line.running import run_flow
from medlstm.errors import ConfigError, ContractStopped, MedlstmError
from medlstm.lake.files import write_text
from medlstm.settings.workspace import CONFIG_NAME, parse_date

DONE, FAILED, WRONG_USAGE, STOPPED = 0, 1, 2, 3
DEMO_START = date(2026, 3, 9)
DEMO_DAYS = 28
DEMO_FIRST_NIGHT = 14

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Each night: how many days remain for every patient in a bed, between which bounds, and why.",
)

app.add_typer(lake, name="lake")
app.add_typer(quarantine, name="quarantine")
app.add_typer(export, name="export")
app.command()(bootstrap)
app.command()(backtest)


class Example(StrEnum):
    csv = "csv"
    physionet2012 = "physionet2012"
    wide_parquet = "wide_parquet"
    fhir = "fhir"
    meds = "meds"
    sql = "sql"
    omop = "omop"
    mimic4 = "mimic4"
    eicu = "eicu"
    synthea = "synthea"
    synthea_fhir = "synthea_fhir"
    tutorial = "tutorial"
    demo = "demo"


class HistoricalSource(StrEnum):
    physionet2012 = "physionet2012"
    workspace = "workspace"


def main() -> None:
    """Run the command; exit status 0 done, 1 failed, 2 wrong usage or configuration, 3 contract stopped the night."""
    # A person at a terminal wants the summary; the run's log is in the Prefect UI.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    try:
        app()
    except ContractStopped as error:
        _exit(error, STOPPED)
    except ConfigError as error:
        _exit(error, WRONG_USAGE)
    except (MedlstmError, OSError) as error:
        _exit(error, FAILED)


def _exit(error: Exception, status: int) -> None:
    print(f"medlstm: {printable(str(error))}", file=sys.stderr)
    sys.exit(status)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Folder of the new workspace.")],
    example: Annotated[Example, typer.Option(help="Which commented medlstm.toml to start from.")] = Example.csv,
) -> None:
    """Make a workspace: a commented medlstm.toml and an empty landing folder."""
    path = directory / CONFIG_NAME
    if path.exists():
        raise ConfigError(f"{path}: exists already; edit it, or choose another folder")
    _write_template(directory, example)
    (directory / "landing").mkdir(parents=True, exist_ok=True)
    print(f"{path} written. {_first_step(directory, example)}, then:\n"
          f"  medlstm nightly --workspace {directory} --as-of YYYY-MM-DD")  # fmt: skip


def _first_step(directory: Path, example: Example) -> str:
    if example in (Example.sql, Example.omop):
        return "Put the database's address into the environment variable that url_variable names there"
    return f"Put each day's files under {directory / 'landing'}/YYYY-MM-DD"


def _write_template(directory: Path, example: Example) -> None:
    template = resources.files("medlstm.settings").joinpath("examples", f"{example.value}.toml")
    write_text(template.read_text(encoding="utf-8"), directory / CONFIG_NAME)


app.command()(inspect)


@app.command()
def nightly(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Run a night: ingest, validate, preprocess, train if due, score, report."""
    from flows.nightly import nightly as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def ingest(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Take the landing folder of a date in."""
    from flows.ingest import ingest as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def validate(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Hold the ingested rows against the contracts."""
    from flows.validate import validate as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def preprocess(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Build the sequences of all stays known at a date."""
    from flows.preprocess import preprocess as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def train(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Train on the sequences of a date, and let the gate decide."""
    from flows.train import train as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def score(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Score the open stays of a date."""
    from flows.score import score as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def report(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, as_json: JsonOption = False) -> None:
    """Write the page of a night again."""
    from flows.report import report as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def compare(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    models: Annotated[str | None, typer.Option(help="Names, separated by commas; all by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit every model and baseline on the same split, and judge them on the same stays."""
    from flows.compare import compare as flow

    names = None if models is None else [name.strip() for name in models.split(",")]
    run_flow(lambda: flow(root_of(workspace), date_of(as_of), names), as_json)


@app.command()
def explain(
    gates: Annotated[bool, typer.Option("--gates", help="Plot the LSTM's gates over the longest open stay.")] = False,
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the champion of a date does inside; reports/D/gates.svg, with no identifier in it."""
    if not gates:
        raise ConfigError("name what to explain: --gates")
    from flows.explain import explain as flow

    run_flow(lambda: flow(root_of(workspace), date_of(as_of)), as_json)


@app.command()
def backfill(
    start: Annotated[str, typer.Option(help="First night.")],
    end: Annotated[str, typer.Option(help="Last night.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Run past nights again, oldest first; exit status 1 if any of them failed."""
    from flows.backfill import backfill as flow

    summary = run_flow(lambda: flow(root_of(workspace), parse_date(start), parse_date(end)), as_json)
    if summary.failed:
        raise typer.Exit(FAILED)


@app.command()
def replay(
    source: Annotated[HistoricalSource, typer.Argument(help="A data set, or workspace: files of its own source.")],
    start: Annotated[str, typer.Option(help="First date.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Number of dates.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Its folders, files or archives.")] = None,
    more: Annotated[list[Path] | None, typer.Option("--from", help="The same; may be repeated.")] = None,
    outcomes: Annotated[list[Path] | None, typer.Option(help="Outcomes files of physionet2012.")] = None,
    lab_hours_late: Annotated[float, typer.Option(min=0, help="When laboratory results of physionet2012 arrive.")] = 0,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Turn historical data into dated landing drops; makes the workspace of a data set if there is none."""
    from flows import replay as flows

    files, outcomes = [*(files or []), *(more or [])], outcomes or []
    if not files or (source is HistoricalSource.physionet2012 and not outcomes):
        raise ConfigError("name the files to replay, and for physionet2012 its --outcomes")
    if source is HistoricalSource.workspace:
        if lab_hours_late:
            raise ConfigError("--lab-hours-late is of physionet2012: files of your own tell when they came")
        own = [str(path) for path in files]
        run_flow(lambda: flows.replay_workspace(root_of(workspace), own, parse_date(start), days), as_json)
        return
    missing = [path for path in (*files, *outcomes) if not path.exists()]
    if missing:
        raise ConfigError(f"{missing[0]}: no such file or folder")
    if not (workspace / CONFIG_NAME).exists():
        _write_template(workspace, Example(source.value))
    paths, tables = [str(path.resolve()) for path in files], [str(path.resolve()) for path in outcomes]
    first = parse_date(start)
    run_flow(lambda: flows.replay(root_of(workspace), paths, tables, first, days, lab_hours_late), as_json)


@app.command()
def demo(
    workspace: Annotated[Path, typer.Option("--workspace", help="A new folder.")] = Path("medlstm-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Which hospital.")] = 1,
    tidy: Annotated[bool, typer.Option("--tidy", help="Nothing comes late, is corrected or moved.")] = False,
    as_json: JsonOption = False,
) -> None:
    """A synthetic hospital, several nights of it, and what the last night says."""
    from flows.demo import demo as flow

    if not (workspace / CONFIG_NAME).exists():
        _write_template(workspace, Example.demo)
    run_flow(lambda: flow(root_of(workspace), DEMO_START, DEMO_DAYS, DEMO_FIRST_NIGHT, seed, tidy), as_json)


@app.command()
def deploy(
    workspace: WorkspaceOption = Path(),
    prefect_file: Annotated[Path, typer.Option(help="The deployments.")] = Path("prefect.yaml"),
) -> None:
    """Register every flow at the server that PREFECT_API_URL names, the nightly on the workspace's schedule."""
    from flows.command_line.deploy import deploy_workspace

    deploy_workspace(Path(root_of(workspace)), prefect_file.resolve())
    print("deployed; runs are done by `prefect worker start --pool medlstm`")


@app.command()
def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str, typer.Option(help="Address that the server listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that it listens on.")] = 4200,
) -> None:
    """Server, schedule and worker on this machine, until Ctrl-C."""
    from flows.command_line.serve import serve_nightly

    serve_nightly(Path(root_of(workspace)), host, port)


if __name__ == "__main__":
    main()
