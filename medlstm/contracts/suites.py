"""Contract suites as reviewed JSON, and the rows of a frame that break them, found by Great Expectations."""

import json
import logging
import os
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from medlstm.errors import ConfigError, ContractStopped
from medlstm.lake.schemas import RETRACTED, STAY_CORE
from medlstm.settings.workspace import Config

# Rules on values whose answer depends on the other rows.
_ACROSS_ROWS = (
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
)


_NEEDED_OF_A_STAY = {*STAY_CORE, RETRACTED, "hours_ahead", "length_of_stay_days"} - {"died"}


class RuleMeta(BaseModel):
    """What follows from a rule; `set_missing`: the value of a static is taken as missing, and the stay stays. An
    `optional` one is for a column that may be absent; the rows that break one that is `by_variable` are reported for
    each variable, in the words of its limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    action: Literal["quarantine", "set_missing", "stop", "warn"]
    description: str
    optional: bool = False
    by_variable: bool = False


class SuiteExpectation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    kwargs: dict[str, Any]
    severity: Literal["critical", "warning", "info"]
    meta: RuleMeta

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the expectation names."""
        named = (self.kwargs.get(key) for key in ("column", "column_A", "column_B"))
        return (*(name for name in named if name is not None), *self.kwargs.get("column_list", ()))


class Suite(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    expectations: tuple[SuiteExpectation, ...]


def load_suite(table: str, config: Config, workspace_root: Path) -> Suite:
    """The packaged suite of a table; one in contracts.suites_folder adds rules, and replaces those of the same name.

    Raises ConfigError naming the file, the expectation's position and what is wrong.
    """
    name = f"{table}.json"
    suite = _parse(resources.files("data_contracts").joinpath(name).read_text("utf-8"), f"data_contracts/{name}")
    if not config.contracts.suites_folder:
        return suite
    own = workspace_root / config.contracts.suites_folder / name
    if not own.is_file():
        return suite
    try:
        added = _parse(own.read_text("utf-8"), str(own))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{own}: cannot be read as a suite: {error}") from error
    replaced = {one.meta.rule for one in added.expectations}
    _require_statics(table, added, str(own))
    kept = tuple(one for one in suite.expectations if one.meta.rule not in replaced)
    return Suite(name=suite.name, expectations=kept + added.expectations)


def _require_statics(table: str, suite: Suite, origin: str) -> None:
    """Only what a stay can do without may be set missing."""
    for one in suite.expectations:
        if one.meta.action == "set_missing" and (table != "stays" or _NEEDED_OF_A_STAY & set(one.columns)):
            raise ConfigError(
                f"{origin}: rule {one.meta.rule}: only the statics of stays may be set missing; its action must be "
                "quarantine, stop or warn"
            )


def _parse(text: str, origin: str) -> Suite:
    try:
        return Suite.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{origin}: cannot be read as a suite: {error}") from error
    except ValidationError as error:
        lines = [f"{origin}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def applicable(suite: Suite, frame: pd.DataFrame) -> list[SuiteExpectation]:
    """The expectations whose columns are there. Raises ConfigError where one that is not optional lacks a column."""
    kept = []
    for expectation in suite.expectations:
        missing = [name for name in expectation.columns if name not in frame]
        if not missing:
            kept.append(expectation)
        elif not expectation.meta.optional:
            raise ConfigError(
                f"suite {suite.name}: rule {expectation.meta.rule} names the column {missing[0]}, which the table "
                "does not have; declare it as a feature, or mark the rule optional"
            )
    return kept


def failing_rows(frame: pd.DataFrame, expectations: Sequence[SuiteExpectation]) -> list[np.ndarray]:
    """For each expectation the rows [n] bool of `frame` (RangeIndex) that break it, all by one validation.

    Raises ContractStopped when a check crashed, which says nothing of the data.
    """
    failing = [np.zeros(len(frame), dtype=bool) for _ in expectations]
    if frame.empty or not expectations:
        return failing
    for rows, result, one in zip(failing, _validate(frame, expectations), expectations, strict=True):
        rows[_positions(result, one, len(frame))] = True
    return failing


def judges_whole_table(expectation: SuiteExpectation) -> bool:
    """Whether the rule is about all rows of a date together, so that a part of them cannot be held against it."""
    return not _judges_row_by_row(expectation.type)


@cache
def _judges_row_by_row(kind: str) -> bool:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations import registry
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    try:
        expectation = registry.get_expectation_impl(kind)
    except ExpectationNotFoundError as error:
        raise _unknown(error) from error
    by_row = issubclass(expectation, (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation))
    return by_row and kind not in _ACROSS_ROWS


def _validate(frame: pd.DataFrame, expectations: Sequence[SuiteExpectation]) -> list[Any]:
    import great_expectations as gx
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    configured = [
        {"type": one.type, "kwargs": one.kwargs, "severity": one.severity, "meta": {"position": position}}
        for position, one in enumerate(expectations)
    ]
    try:
        suite = gx.ExpectationSuite(name="contract", expectations=configured)
    except Exception as error:
        raise _unknown(error) from error
    # A batch of a data source would be hashed twice, which takes as long as the checks themselves.
    engine = PandasExecutionEngine(batch_data_dict={"rows": frame})
    results: list[Any] = Validator(execution_engine=engine, data_context=gx_context()).graph_validate(
        configurations=suite.expectation_configurations, runtime_configuration={"result_format": "COMPLETE"}
    )
    by_position = {result.expectation_config.meta["position"]: result for result in results}
    return [by_position[position] for position in range(len(expectations))]


def _unknown(error: Exception) -> ConfigError:
    return ConfigError(f"a suite's expectation is not one that Great Expectations knows: {error}")


@cache
def gx_context() -> Any:
    """Great Expectations without files, telemetry or progress bars; one ephemeral context a process, since making one
    takes longer than checking a small table."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _positions(result: Any, expectation: SuiteExpectation, rows: int) -> np.ndarray:
    if _crashed(result.exception_info):
        raise ContractStopped(
            f"rule {expectation.meta.rule} ({expectation.type}): the check itself crashed, which says nothing of the "
            "data; correct the rule"
        )
    listed = result.result.get("unexpected_index_list")
    if listed is not None:
        return np.asarray(listed, dtype=np.int64)
    if result.success:
        return np.empty(0, dtype=np.int64)
    if expectation.meta.action == "quarantine":
        raise ConfigError(
            f"rule {expectation.meta.rule}: {expectation.type} judges the table and not its rows, so its action "
            "must be stop or warn"
        )
    return np.arange(rows)


def _crashed(exception_info: dict[str, Any]) -> bool:
    """Great Expectations gives one record, or one for each metric."""
    if "raised_exception" in exception_info:
        return bool(exception_info["raised_exception"])
    return any(isinstance(one, dict) and one.get("raised_exception") for one in exception_info.values())
