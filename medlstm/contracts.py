"""Data contracts: raw rows in, admitted rows and quarantined rows out, and not one row lost."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.casting import Cast, Finding, cast_observations, cast_stays
from medlstm.config import Config
from medlstm.errors import ContractStopped, MedlstmError
from medlstm.suites import Suite, applicable, failing_rows
from medlstm.tables import OBSERVATION_CORE, OBSERVATIONS_SCHEMA, PROVENANCE, stays_schema

_PROVENANCE_NAMES = [field.name for field in PROVENANCE]


@dataclass(frozen=True)
class RuleOutcome:
    """How many rows broke one rule."""

    rule: str
    action: str
    rows: int
    description: str


@dataclass(frozen=True)
class ContractReport:
    """rows_in = admitted + quarantined + exact_duplicates, always."""

    table: str
    rows_in: int
    admitted: int
    quarantined: int
    exact_duplicates: int
    rules: tuple[RuleOutcome, ...]


@dataclass(frozen=True)
class Admission:
    """`quarantined` holds the raw text with `rule` (the first one broken) and `reason` (all of them)."""

    admitted: pa.Table
    quarantined: pa.Table
    report: ContractReport


class QuarantineLimitExceeded(ContractStopped):
    """Too large a share of a table is wrong; `admission` holds the rows, so that they can still be looked at."""

    def __init__(self, message: str, admission: Admission) -> None:
        super().__init__(message)
        self.admission = admission


def admit_stays(raw: pa.Table, suite: Suite, config: Config, extract_date: date) -> Admission:
    """Hold raw stays against the structure, the types and the suite; see `_admit` for what it raises."""
    required = ["stay_id"] if "los_days" in raw.column_names else ["stay_id", "admitted_at"]
    schema = stays_schema(config.features.numeric, config.features.categorical)
    order = ["stay_id", "source_file", "source_row"]
    return _admit("stays", raw, required, cast_stays, schema, order, suite, config, extract_date)


def admit_observations(raw: pa.Table, suite: Suite, config: Config, extract_date: date) -> Admission:
    """Hold raw observations against the structure, the types and the suite; see `_admit` for what it raises."""
    order = ["stay_id", "observed_at", "variable", "source_file", "source_row"]
    return _admit(
        "observations", raw, list(OBSERVATION_CORE), cast_observations, OBSERVATIONS_SCHEMA, order, suite, config,
        extract_date,
    )  # fmt: skip


def _admit(
    table: str,
    raw: pa.Table,
    required: list[str],
    cast: Callable[[pd.DataFrame, Config, date], Cast],
    schema: pa.Schema,
    order: list[str],
    suite: Suite,
    config: Config,
    extract_date: date,
) -> Admission:
    """Structure, exact duplicates, types, suite, in this order; equal rows in any order give equal tables.

    Raises ContractStopped for a missing column or a rule with the action stop, QuarantineLimitExceeded (with
    the rows) for too large a share, MedlstmError should a row ever be lost.
    """
    _require_columns(table, raw, required)
    frame = raw.sort_by([("source_file", "ascending"), ("source_row", "ascending")]).to_pandas()
    received = [name for name in frame.columns if name not in _PROVENANCE_NAMES]
    duplicate = frame.duplicated(subset=received).to_numpy()
    distinct = frame[~duplicate].reset_index(drop=True)
    typed = cast(distinct, config, extract_date)
    findings, outcomes = _judge(typed, suite)
    quarantine = _any(findings, len(distinct))
    admitted = pd.concat([typed.frame, distinct[_PROVENANCE_NAMES]], axis=1)[schema.names][~quarantine]
    admission = Admission(
        pa.Table.from_pandas(admitted, schema=schema, preserve_index=False)
        .replace_schema_metadata(None)
        .sort_by([(name, "ascending") for name in order]),
        _quarantined(distinct, findings, quarantine, received),
        ContractReport(
            table, raw.num_rows, int((~quarantine).sum()), int(quarantine.sum()), int(duplicate.sum()), outcomes
        ),
    )
    _assert_nothing_lost(raw, admission)
    _stop_if_told(table, outcomes)
    _stop_above_limit(admission, config)
    return admission


def _require_columns(table: str, raw: pa.Table, required: list[str]) -> None:
    missing = [name for name in [*required, *_PROVENANCE_NAMES] if name not in raw.column_names]
    if missing:
        raise ContractStopped(
            f"{table}: the column {', '.join(missing)} is missing; map it in [[source.files]] of medlstm.toml"
        )


def _judge(typed: Cast, suite: Suite) -> tuple[list[Finding], tuple[RuleOutcome, ...]]:
    """The findings that quarantine rows, in order of precedence, and the outcome of every rule."""
    unreadable = _any(typed.findings, len(typed.frame))
    readable = np.flatnonzero(~unreadable)
    expectations = applicable(suite, typed.frame)
    broken = failing_rows(typed.frame.iloc[readable].reset_index(drop=True), expectations)
    findings = list(typed.findings)
    outcomes = [RuleOutcome(one.rule, "quarantine", int(one.rows.sum()), one.description) for one in typed.findings]
    for expectation, failing in zip(expectations, broken, strict=True):
        meta = expectation.meta
        outcomes.append(RuleOutcome(meta.rule, meta.action, int(failing.sum()), meta.description))
        if meta.action == "quarantine" and failing.any():
            rows = np.zeros(len(typed.frame), dtype=bool)
            rows[readable] = failing
            findings.append(Finding(meta.rule, meta.description, rows))
    return findings, tuple(outcomes)


def _any(findings: tuple[Finding, ...] | list[Finding], rows: int) -> np.ndarray:
    failing = np.zeros(rows, dtype=bool)
    for finding in findings:
        failing |= finding.rows
    return failing


def _quarantined(
    distinct: pd.DataFrame, findings: list[Finding], quarantine: np.ndarray, received: list[str]
) -> pa.Table:
    rows = distinct[quarantine]
    first = pd.Series("", index=rows.index, dtype="str")
    reasons = pd.Series("", index=rows.index, dtype="str")
    for finding in findings:
        hit = finding.rows[quarantine]
        first = first.where(~hit | (first != ""), finding.rule)
        reasons = reasons.where(~hit, reasons + "; " + finding.description)
    schema = pa.schema(
        [
            *(pa.field(name, pa.string()) for name in received),
            *PROVENANCE,
            pa.field("rule", pa.string()),
            pa.field("reason", pa.string()),
        ]
    )
    marked = rows.assign(rule=first, reason=reasons.str.removeprefix("; "))
    return pa.Table.from_pandas(marked[schema.names], schema=schema, preserve_index=False).replace_schema_metadata(None)


def _assert_nothing_lost(raw: pa.Table, admission: Admission) -> None:
    report = admission.report
    written = admission.admitted.num_rows + admission.quarantined.num_rows + report.exact_duplicates
    if written != raw.num_rows or written != report.admitted + report.quarantined + report.exact_duplicates:
        raise MedlstmError(
            f"{report.table}: {report.rows_in} rows in, but {admission.admitted.num_rows} admitted + "
            f"{admission.quarantined.num_rows} quarantined + {report.exact_duplicates} exact duplicates; "
            "nothing was written"
        )


def _stop_if_told(table: str, outcomes: tuple[RuleOutcome, ...]) -> None:
    for outcome in outcomes:
        if outcome.action == "stop" and outcome.rows:
            raise ContractStopped(
                f"{table}: rule {outcome.rule} stops the night: {outcome.rows} rows ({outcome.description}); "
                "nothing of this date was admitted"
            )


def _stop_above_limit(admission: Admission, config: Config) -> None:
    report, limits = admission.report, config.contracts
    if report.quarantined < limits.min_quarantined_rows:
        return
    share = report.quarantined / report.rows_in
    if share <= limits.max_quarantined_share:
        return
    worst = sorted((one for one in report.rules if one.action == "quarantine" and one.rows), key=lambda one: -one.rows)
    named = ", ".join(f"{one.rule} {one.rows}" for one in worst[:3])
    raise QuarantineLimitExceeded(
        f"{report.table}: {report.quarantined} of {report.rows_in} rows ({share:.0%}) were quarantined, above "
        f"contracts.max_quarantined_share = {limits.max_quarantined_share}: {named}. Nothing of this date was "
        f"admitted; look at lake/quarantine/{report.table}, then correct the source, the mapping or the limit",
        admission,
    )
