"""Look at the quarantine, and let the rows of a rule through, with a trace."""

from dataclasses import dataclass
from datetime import date

from medlstm.contracts.plausible_limits import VARIABLE_RULE, load_limits
from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.contracts.results import ContractReport
from medlstm.contracts.suites import load_suite
from medlstm.contracts.waivers import add_release
from medlstm.errors import MedlstmError
from medlstm.ingest.delivered_files import delivered_dates
from medlstm.lake.audit_log import append_audit, this_process
from medlstm.lake.database import connect
from medlstm.lake.date_lock import date_lock
from medlstm.lake.files import Workspace, partition_dates, partition_file
from medlstm.lake.schemas import TABLES
from medlstm.settings.workspace import Config

_NEEDED = "expect_column_values_to_not_be_null"


@dataclass(frozen=True)
class QuarantinedRows:
    """How many rows of a date a rule holds back: rows are filed by the first rule that they broke."""

    table: str
    extract_date: date
    rule: str
    reason: str
    rows: int


@dataclass(frozen=True)
class ReleaseSummary:
    """What a release let through, and the table's contract report after it."""

    table: str
    extract_date: date
    rule: str
    released_rows: int
    report: ContractReport


def list_quarantine(workspace: Workspace, extract_date: date | None = None) -> tuple[QuarantinedRows, ...]:
    """Counts by table, date, rule and reason, the most recent date first; never a row."""
    found: list[QuarantinedRows] = []
    query = (
        "select rule, reason, count(*) from read_parquet($path, hive_partitioning = false) group by all "
        "order by count(*) desc, rule, reason"
    )
    with connect(workspace) as database:
        for table in TABLES:
            for day in partition_dates(workspace.quarantine(table)):
                if extract_date in (None, day):
                    path = str(partition_file(workspace.quarantine(table), day))
                    rows = database.execute(query, {"path": path}).fetchall()
                    found += [QuarantinedRows(table, day, rule, reason, count) for rule, reason, count in rows]
    return tuple(sorted(found, key=lambda one: (-one.extract_date.toordinal(), one.table)))


def release(
    workspace: Workspace,
    table: str,
    extract_date: date,
    rule: str,
    config: Config,
    run: str | None = None,
    reopen: bool = False,
) -> ReleaseSummary:
    """Admit the rows of a date that `rule` alone holds back, now and whenever the date is judged again.

    The rule, the run and the counts go to the audit log. A closed date (see `medlstm.ingest.delivered_files`) needs
    `reopen`: the release changes what later nights knew. Raises MedlstmError for a rule that cannot be let through.
    """
    _require_releasable(workspace, table, rule, config)
    with date_lock(workspace, "as_of", extract_date):
        return _release(workspace, table, extract_date, rule, config, run or this_process(), reopen)


def _release(
    workspace: Workspace, table: str, extract_date: date, rule: str, config: Config, run: str, reopen: bool
) -> ReleaseSummary:
    if not reopen and delivered_dates(workspace)[-1:] > [extract_date]:
        raise MedlstmError(
            f"{extract_date} is closed: later dates have been taken in, and a release would change what their nights "
            "knew. Reopen it if that is what you want"
        )
    held = sum(one.rows for one in list_quarantine(workspace, extract_date) if (one.table, one.rule) == (table, rule))
    if not held:
        raise MedlstmError(
            f"{table} {extract_date}: rule {rule} holds no row back; `medlstm quarantine ls` shows which rules do"
        )
    add_release(workspace, table, extract_date, rule)
    append_audit(workspace, "release", extract_date, run,
                 detail={"table": table, "rule": rule, "rows_held_before": held})  # fmt: skip
    reports = validate_date(workspace, extract_date, config, run).reports
    (report,) = (one for one in reports if one.table == table)
    let_through = sum(one.rows for one in report.rules if one.rule == rule and one.action == "released")
    return ReleaseSummary(table, extract_date, rule, let_through, report)


def _require_releasable(workspace: Workspace, table: str, rule: str, config: Config) -> None:
    if table not in TABLES:
        raise MedlstmError(f"table = {table!r}: must be one of {', '.join(TABLES)}")
    suite = load_suite(table, config, workspace.root)
    by_name = {one.meta.rule: one for one in suite.expectations if not one.meta.by_variable}
    limited = {VARIABLE_RULE.format(variable=name) for name in load_limits(config, workspace.root).by_variable}
    if rule in by_name and by_name[rule].type != _NEEDED:
        return
    if table == "observations" and rule in limited:
        return
    allowed = sorted(name for name, one in by_name.items() if one.type != _NEEDED)
    allowed += ["those of limits.csv"] if table == "observations" else []
    raise MedlstmError(
        f"rule = {rule!r}: rows that cannot be read, or lack what is needed, cannot be admitted; rules that can be "
        f"let through are {', '.join(allowed)}"
    )
