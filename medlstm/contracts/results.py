"""What a contract found: counts by rule for each date, and whether they stop it."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from medlstm.errors import ContractStopped
from medlstm.lake.schemas import PROVENANCE
from medlstm.settings.workspace import Config

_REQUIRED = {"stays": ("stay_id", "admitted_at"), "observations": ("stay_id", "observed_at", "variable", "value")}


@dataclass(frozen=True)
class RuleOutcome:
    """How many rows broke one rule."""

    rule: str
    action: str
    rows: int
    description: str


@dataclass(frozen=True)
class ContractReport:
    """rows_in = admitted + quarantined + exact_duplicates, always. `warnings`: what is odd about the whole feed."""

    table: str
    rows_in: int
    admitted: int
    quarantined: int
    exact_duplicates: int
    rules: tuple[RuleOutcome, ...]
    warnings: tuple[str, ...] = ()


@dataclass
class DateCount:
    """What became of one date's rows so far; `rules` maps a rule to (action, rows, description)."""

    rows_in: int = 0
    admitted: int = 0
    quarantined: int = 0
    exact_duplicates: int = 0
    newest_hours_ahead: float = -np.inf
    rules: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    def note(self, rule: str, action: str, rows: int, description: str) -> None:
        before = self.rules.get(rule, (action, 0, description))
        self.rules[rule] = (action if rows else before[0], before[1] + rows, description)

    def add(self, later: "DateCount") -> None:
        """Count what became of further rows too."""
        self.rows_in += later.rows_in
        self.admitted += later.admitted
        self.quarantined += later.quarantined
        self.exact_duplicates += later.exact_duplicates
        self.newest_hours_ahead = max(self.newest_hours_ahead, later.newest_hours_ahead)
        for rule, (action, rows, description) in later.rules.items():
            self.note(rule, action, rows, description)

    def report(self, table: str, warnings: tuple[str, ...] = ()) -> ContractReport:
        outcomes = tuple(RuleOutcome(rule, *outcome) for rule, outcome in self.rules.items())
        return ContractReport(
            table, self.rows_in, self.admitted, self.quarantined, self.exact_duplicates, outcomes, warnings
        )


def require_columns(table: str, names: list[str]) -> None:
    """Raise ContractStopped where a raw table lacks a column that the contract needs."""
    missing = [name for name in (*_REQUIRED[table], *(one.name for one in PROVENANCE)) if name not in names]
    if missing:
        raise ContractStopped(
            f"{table}: the column {', '.join(missing)} is missing; map it in [[source.files]] of medlstm.toml"
        )


def stop_if_told(report: ContractReport, day: date) -> None:
    """Raise ContractStopped for the first rule with the action stop that a row broke."""
    for outcome in report.rules:
        if outcome.action == "stop" and outcome.rows:
            raise ContractStopped(
                f"{report.table}: rule {outcome.rule} stops the night: {outcome.rows} rows ({outcome.description}); "
                f"nothing of {day} was admitted"
            )


def stop_above_limit(report: ContractReport, config: Config, day: date) -> None:
    """Raise ContractStopped where too large a share of a table's rows is quarantined."""
    limits = config.contracts
    if report.quarantined < limits.min_quarantined_rows:
        return
    own = {str(table): share for table, share in limits.max_share_by_table.items()}
    key = "max_share_by_table" if report.table in own else "max_quarantined_share"
    limit = own.get(report.table, limits.max_quarantined_share)
    share = report.quarantined / report.rows_in
    if share <= limit:
        return
    worst = sorted((one for one in report.rules if one.action == "quarantine" and one.rows), key=lambda one: -one.rows)
    named = ", ".join(f"{one.rule} {one.rows}" for one in worst[:3])
    raise ContractStopped(
        f"{report.table}: {report.quarantined} of {report.rows_in} rows ({share:.0%}) were quarantined, above "
        f"contracts.{key} = {limit}: {named}. Nothing of {day} was admitted; look at "
        f"lake/quarantine/{report.table}, then correct the source, the mapping or the limit"
    )


