"""`medlstm lake`, `medlstm quarantine` and `medlstm export`: looking into a workspace, without a flow run."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import JsonOption, WorkspaceOption, print_json, root_of
from flows.command_line.printing import printable, table, terminal, text
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import load_config, parse_date

lake = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What is in the lake, what changed, whether it is sound."
)
quarantine = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rows that a contract held back.")
export = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Predictions in other programs' formats.")

TableOption = Annotated[str, typer.Option("--table", help="stays or observations.")]


@lake.command("ls")
def lake_ls(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """Every partition with its rows and size."""
    from medlstm.upkeep.inspection import list_lake

    partitions = list_lake(Workspace(Path(root_of(workspace))))
    rows = [(one.layer, one.table, str(one.day), text(one.rows), text(one.bytes)) for one in partitions]
    terminal().print(table(("layer", "table", "date", "rows", "bytes"), rows, text_columns=3))
    if as_json:
        print_json({"partitions": partitions})


@lake.command("diff")
def lake_diff(
    before: Annotated[str, typer.Argument(help="An extract date.")],
    after: Annotated[str, typer.Argument(help="A later one.")],
    table_name: TableOption = "stays",
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """What changed between two admitted extracts of a table: counts only."""
    from medlstm.upkeep.inspection import diff_extracts

    root = Path(root_of(workspace))
    diff = diff_extracts(Workspace(root), table_name, parse_date(before), parse_date(after), load_config(root))
    counts = [
        ("keys only in the first", diff.only_before), ("only in the second", diff.only_after),
        ("in both, unchanged", diff.unchanged), ("in both, changed", diff.changed), ("taken back", diff.retracted),
        *((f"  changed in {name}", rows) for name, rows in diff.changed_columns.items()),
    ]  # fmt: skip
    terminal().print(table((f"{diff.table}: {before} and {after}", "keys"), [(name, text(n)) for name, n in counts]))
    if as_json:
        print_json(diff)


@lake.command("verify")
def lake_verify(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """Check each file's footer, columns, hash and counts, and each model; exit status 1 if anything is wrong."""
    from medlstm.registry.versions import damaged_models
    from medlstm.upkeep.inspection import LakeCheck, Problem, verify_lake

    root = Path(root_of(workspace))
    tables = verify_lake(Workspace(root), load_config(root))
    models = [Problem(f"models/{one.version}", one.why) for one in damaged_models(Workspace(root))]
    check = LakeCheck(tables.files, (*tables.problems, *models))
    for problem in check.problems:
        print(printable(f"{problem.path}: {problem.problem}"))
    print(f"{check.files:,} files checked, {len(check.problems)} problems")
    if as_json:
        print_json(check)
    if check.problems:
        raise typer.Exit(1)


@lake.command("upgrade")
def lake_upgrade(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """Convert a lake that an earlier version wrote; what was killed half-way is run again."""
    from medlstm.upkeep.upgrade import upgrade_lake

    root = workspace.resolve()
    load_config(root)
    summary = upgrade_lake(Workspace(root))
    for path in summary.unreadable:
        print(f"{path}: no readable footer, left as it is; run the date again")
    print(f"{summary.converted:,} files converted, {summary.already:,} were already; the lake has format "
          f"{summary.format}")  # fmt: skip
    if as_json:
        print_json(summary)


@quarantine.command("ls")
def quarantine_ls(
    day: Annotated[str | None, typer.Option("--as-of", "--date", help="One extract date; all by default.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Rows held back, by table, date, rule and reason: counts, never a row."""
    from medlstm.contracts.quarantine import list_quarantine

    held = list_quarantine(Workspace(Path(root_of(workspace))), None if day is None else parse_date(day))
    rows = [(one.table, str(one.extract_date), one.rule, one.reason, text(one.rows)) for one in held]
    terminal().print(table(("table", "extract date", "rule", "reason", "rows"), rows, text_columns=4))
    if as_json:
        print_json({"quarantined": held})


@quarantine.command("release")
def quarantine_release(
    rule: Annotated[str, typer.Argument(help="The rule to let through for one date.")],
    day: Annotated[str, typer.Option("--as-of", "--date", help="The extract date.")],
    table_name: TableOption = "observations",
    reopen: Annotated[bool, typer.Option(help="Although later dates have been taken in.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Admit the rows that a rule alone holds back; the audit log keeps who let what through."""
    from medlstm.contracts.quarantine import release

    root = Path(root_of(workspace))
    summary = release(Workspace(root), table_name, parse_date(day), rule, load_config(root), reopen=reopen)
    report = summary.report
    print(f"{summary.table} {summary.extract_date}: {summary.released_rows:,} rows of rule {rule} released; now "
          f"{report.rows_in:,} in = {report.admitted:,} admitted + {report.quarantined:,} quarantined + "
          f"{report.exact_duplicates:,} exact duplicates")  # fmt: skip
    if as_json:
        print_json(summary)


@export.command("meds")
def export_meds(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")],
    as_of: Annotated[str, typer.Option("--as-of", help="The night, such as 2026-11-22.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write a night's predictions, and what came true of them, as MEDS labels."""
    from medlstm.scoring.export_meds import export_meds as write

    root = Path(root_of(workspace))
    summary = write(Workspace(root), parse_date(as_of), load_config(root), folder)
    terminal().print(table((f"written below {folder}", "rows"), [(n, text(r)) for n, r in summary.rows.items()]))
    if as_json:
        print_json(summary)
