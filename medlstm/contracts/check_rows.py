"""One chunk of raw rows held against its contract: admitted rows, quarantined rows, and not one row lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.contracts.judged_tables import admitted_rows, quarantined_rows
from medlstm.contracts.plausible_limits import LOWER, UPPER, VARIABLE_RULE, Limits
from medlstm.contracts.results import DateCount
from medlstm.contracts.row_order import by_provenance, contradicting, find_duplicates, key_order
from medlstm.contracts.suites import Suite, SuiteExpectation, applicable, failing_rows
from medlstm.contracts.text_column import Column, TextColumn
from medlstm.contracts.typed_columns import Admissions, Cast, Finding, cast_observations, cast_stays
from medlstm.errors import MedlstmError
from medlstm.lake.schemas import RETRACTED, admitted_schema
from medlstm.settings.workspace import Config

_SEVERAL = "another row of the delivery has the same key and says something else; the last one counts"
_KEYS = {"stays": ("stay_id",), "observations": ("stay_id", "observed_at", "variable")}


@dataclass(frozen=True)
class TableContract:
    """What the raw rows of one table are held against."""

    table: str
    suite: Suite
    limits: Limits
    config: Config

    @property
    def keys(self) -> tuple[str, ...]:
        return _KEYS[self.table]

    @property
    def schema(self) -> pa.Schema:
        """The admitted table's schema."""
        features = self.config.features
        return admitted_schema(self.table, features.numeric, features.categorical)

    def cast(self, raw: pa.Table, admissions: Admissions) -> Cast:
        return cast_stays(raw, self.config) if self.table == "stays" else cast_observations(
            raw, self.config, admissions
        )


@dataclass(frozen=True)
class Judged:
    """One chunk, by date in ascending order: admitted rows in the order of their keys, the quarantined raw text, and
    what became of all rows.

    `quarantined` has `rule` (the first one broken) and `reason` (all of them).
    """

    admitted: dict[date, pa.Table]
    quarantined: dict[date, pa.Table]
    counts: dict[date, DateCount]


@dataclass(frozen=True)
class _Broken:
    """A finding of the contract with what follows from it, and the columns of its rule; `listed`: it is reported though
    no row broke it."""

    finding: Finding
    action: str
    listed: bool = True
    columns: tuple[str, ...] = ()


def judge(
    contract: TableContract,
    raw: pa.Table,
    admissions: Admissions,
    released: Mapping[date, frozenset[str]] = MappingProxyType({}),
) -> Judged:
    """Exact duplicates, types, suite, in this order; the same rows in any order give the same tables.

    `raw` is one of `raw_chunks`; rules that a person `released` for a date admit what they would quarantine. Chunks are
    independent of each other. Raises ContractStopped where a check crashed, MedlstmError should a row ever be lost.
    """
    raw = by_provenance(raw)
    typed = contract.cast(raw, admissions)
    order, same_key = key_order(typed, contract.keys, raw)
    duplicate = find_duplicates(raw, order, same_key)
    kept = order[~duplicate]
    days = _Days(raw)
    broken = _with_releases(_broken(contract, typed, kept), days, kept, released)
    typed = _without_impossible(typed, kept, broken)
    refused = [one.finding for one in broken if one.action == "quarantine"]
    quarantine = _any(refused, len(kept))
    said = [typed.columns[name] for name in contract.schema.names if name in {*typed.columns} - {*contract.keys}]
    several = contradicting(said, np.cumsum(~same_key)[~duplicate], kept, ~quarantine)
    broken.append(_Broken(Finding("key_with_several_values", _SEVERAL, several), "warn", listed=False))
    counts = _counted(days, raw, order[duplicate], kept, quarantine, broken, typed)
    admitted = days.split(admitted_rows(contract.schema, typed, raw, kept[~quarantine]), kept[~quarantine])
    quarantined = days.split(quarantined_rows(raw, kept, refused, quarantine), kept[quarantine])
    written = sum(table.num_rows for part in (admitted, quarantined) for table in part.values())
    if written + int(duplicate.sum()) != raw.num_rows:
        raise MedlstmError(
            f"{contract.table}: {raw.num_rows} rows in, but {written} admitted or quarantined and "
            f"{int(duplicate.sum())} exact duplicates; nothing was written"
        )
    return Judged(admitted, quarantined, counts)


class _Days:
    """The dates of a chunk's rows."""

    def __init__(self, raw: pa.Table) -> None:
        days = raw.column("extract_date").chunk(0)
        self.distinct, self.code = np.unique(days.cast(pa.int32()).to_numpy(), return_inverse=True)
        self.dates: list[date] = pa.array(self.distinct.astype(np.int32)).cast(pa.date32()).to_pylist()

    def split(self, table: pa.Table, rows: np.ndarray) -> dict[date, pa.Table]:
        """Table rows are the chunk's `rows`, dates ascending."""
        edges = self.edges(rows)
        return {day: table.slice(edges[index], edges[index + 1] - edges[index])
                for index, day in enumerate(self.dates)}  # fmt: skip

    def edges(self, rows: np.ndarray) -> np.ndarray:
        """Where each date begins, and the last one ends, in `rows` with their dates ascending."""
        return np.concatenate([[0], np.cumsum(self.bincount(rows))])

    def bincount(self, rows: np.ndarray) -> np.ndarray:
        return np.bincount(self.code[rows], minlength=len(self.dates))


def _broken(contract: TableContract, typed: Cast, kept: np.ndarray) -> list[_Broken]:
    """Every rule with the rows of `kept` that break it; the order decides which one a quarantined row is filed by."""
    taken_back = _column_rows(typed.columns[RETRACTED], kept) == 1
    unreadable = [Finding(one.rule, one.description, one.rows[kept] & ~_spared(one, taken_back, contract))
                  for one in typed.findings if one.action == "quarantine"]  # fmt: skip
    readable = np.flatnonzero(~_any(unreadable, len(kept)))
    frame = _frame(contract, typed, kept[readable])
    expectations = applicable(contract.suite, frame)
    broken = [_Broken(one, "quarantine") for one in unreadable]
    broken += [_Broken(Finding(one.rule, one.description, one.rows[kept]), one.action)
               for one in typed.findings if one.action != "quarantine"]  # fmt: skip
    for expectation, failing in zip(expectations, failing_rows(frame, expectations), strict=True):
        rows = np.zeros(len(kept), dtype=bool)
        rows[readable] = failing
        # A row that is taken back needs to be right in its key alone.
        if not set(expectation.columns) <= {*contract.keys}:
            rows &= ~taken_back
        broken += _by_variable(contract, expectation, rows, typed, kept)
    return broken


def _without_impossible(typed: Cast, kept: np.ndarray, broken: list[_Broken]) -> Cast:
    """The columns without the values that a rule sets missing."""
    columns = dict(typed.columns)
    for one in broken:
        if one.action == "set_missing" and one.finding.rows.any():
            for name in one.columns:
                columns[name] = _blanked(columns[name], kept[one.finding.rows])
    return Cast(columns, typed.findings)


def _blanked(column: Column, rows: np.ndarray) -> Column:
    if isinstance(column, TextColumn):
        codes = column.codes.copy()
        codes[rows] = -1
        return TextColumn(codes, column.distinct)
    values = column.copy()
    values[rows] = -1 if values.dtype == np.int8 else np.nan
    return values


def _spared(finding: Finding, taken_back: np.ndarray, contract: TableContract) -> np.ndarray:
    about_key = any(finding.description.startswith(f"{key}:") for key in contract.keys)
    return np.zeros(len(taken_back), dtype=bool) if about_key or finding.rule == "ragged_line" else taken_back


def _by_variable(
    contract: TableContract, expectation: SuiteExpectation, rows: np.ndarray, typed: Cast, kept: np.ndarray
) -> list[_Broken]:
    """One finding; of a rule about the limits of variables one for each variable that broke it."""
    meta = expectation.meta
    if not meta.by_variable or not rows.any():
        return [_Broken(Finding(meta.rule, meta.description, rows), meta.action, columns=expectation.columns)]
    variable = typed.columns["variable"]
    assert isinstance(variable, TextColumn)
    codes = variable.codes[kept]
    found = []
    for code in np.unique(codes[rows]):
        name = str(variable.distinct[code])
        finding = Finding(VARIABLE_RULE.format(variable=name), contract.limits.describe(name), rows & (codes == code))
        found.append(_Broken(finding, meta.action, listed=False))
    return found


def _with_releases(
    broken: list[_Broken], days: _Days, kept: np.ndarray, released: Mapping[date, frozenset[str]]
) -> list[_Broken]:
    found = []
    for one in broken:
        free = np.array([one.finding.rule in released.get(day, frozenset()) for day in days.dates], dtype=bool)
        if one.action != "quarantine" or not free.any():
            found.append(one)
            continue
        spared = free[days.code[kept]]
        finding = one.finding
        held = Finding(finding.rule, finding.description, finding.rows & ~spared)
        let_through = Finding(finding.rule, finding.description, finding.rows & spared)
        found += [_Broken(held, one.action, one.listed), _Broken(let_through, "released", listed=False)]
    return found


def _frame(contract: TableContract, typed: Cast, rows: np.ndarray) -> pd.DataFrame:
    """The columns that the suite names, for Great Expectations."""
    named = {column for one in contract.suite.expectations for column in one.columns}
    columns = {name: _for_pandas(typed.columns[name], rows) for name in sorted(named & set(typed.columns))}
    if named & {LOWER, UPPER}:
        variable = typed.columns["variable"]
        assert isinstance(variable, TextColumn)
        lower, upper = contract.limits.of(variable.distinct)
        codes = variable.codes[rows]
        columns |= {LOWER: lower[codes], UPPER: upper[codes]}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)), copy=False)


def _column_rows(column: Column, rows: np.ndarray) -> np.ndarray:
    assert isinstance(column, np.ndarray)
    return column[rows]


def _for_pandas(column: Column, rows: np.ndarray) -> object:
    if isinstance(column, TextColumn):
        return column.take(rows).to_pandas()
    values = column[rows]
    if values.dtype == np.int64:
        # In UTC, which is all that comparing them needs; MISSING_TIME is NaT's own integer.
        return values.view("datetime64[us]")
    if values.dtype == np.int8:
        return pd.arrays.BooleanArray(values == 1, values < 0)
    return values


def _any(findings: list[Finding], rows: int) -> np.ndarray:
    failing = np.zeros(rows, dtype=bool)
    for finding in findings:
        failing |= finding.rows
    return failing


def _counted(
    days: _Days,
    raw: pa.Table,
    duplicates: np.ndarray,
    kept: np.ndarray,
    quarantine: np.ndarray,
    broken: list[_Broken],
    typed: Cast,
) -> dict[date, DateCount]:
    counts = {}
    rows_in = days.bincount(np.arange(raw.num_rows))
    repeated, refused, admitted = (days.bincount(rows) for rows in (duplicates, kept[quarantine], kept[~quarantine]))
    none = np.zeros(len(days.dates), dtype=np.int64)
    by_rule = [(one, days.bincount(kept[one.finding.rows]) if one.finding.rows.any() else none) for one in broken]
    into = kept[~quarantine]
    ahead, edges = _column_rows(typed.columns["hours_ahead"], into), days.edges(into)
    for index, day in enumerate(days.dates):
        newest = ahead[edges[index] : edges[index + 1]]
        counts[day] = DateCount(
            rows_in=int(rows_in[index]),
            admitted=int(admitted[index]),
            quarantined=int(refused[index]),
            exact_duplicates=int(repeated[index]),
            newest_hours_ahead=float(newest.max(initial=-np.inf)),
        )
        for one, rows in by_rule:
            if one.listed or rows[index]:
                counts[day].note(one.finding.rule, one.action, int(rows[index]), one.finding.description)
    return counts
