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

from medlstm.config import Config
from medlstm.errors import ConfigError, ContractStopped

_ROWS_PER_CHUNK = 1_000_000


class RuleMeta(BaseModel):
    """`variable` limits a rule on `value` to that variable; an `optional` rule is for a feature that may be absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    action: Literal["quarantine", "stop", "warn"]
    description: str
    variable: str | None = None
    optional: bool = False


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
    """The suite of a table: from contracts.suites_folder if that is set, else the packaged one.

    Raises ConfigError naming the file, the expectation's position and what is wrong.
    """
    name = f"{table}.json"
    folder = config.contracts.suites_folder
    origin = str(workspace_root / folder / name) if folder else f"data_contracts/{name}"
    try:
        packaged = resources.files("data_contracts").joinpath(name)
        text = Path(origin).read_text("utf-8") if folder else packaged.read_text("utf-8")
        return Suite.model_validate(json.loads(text))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
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
    """For each expectation the rows [n] bool of `frame` (RangeIndex) that break it.

    Raises ContractStopped when a check crashed, which says nothing of the data.
    """
    failing = [np.zeros(len(frame), dtype=bool) for _ in expectations]
    by_row = [index for index, one in enumerate(expectations) if one.meta.variable is None]
    by_variable = [index for index, one in enumerate(expectations) if one.meta.variable is not None]
    for start in range(0, len(frame), _ROWS_PER_CHUNK):
        chunk = frame.iloc[start : start + _ROWS_PER_CHUNK].reset_index(drop=True)
        found = _unexpected(chunk, [expectations[index] for index in by_row])
        for index, positions in zip(by_row, found, strict=True):
            failing[index][start + positions] = True
        for index, positions in _unexpected_by_variable(chunk, expectations, by_variable):
            failing[index][start + positions] = True
    return failing


def _unexpected_by_variable(
    chunk: pd.DataFrame, expectations: Sequence[SuiteExpectation], indices: list[int]
) -> list[tuple[int, np.ndarray]]:
    """All per-variable rules in one call: each variable becomes a column, padded with the nulls that rules ignore.

    A row condition or a call for each variable was measured to be far slower.
    """
    rows = chunk.groupby("variable", sort=False).indices if indices else {}
    present = [index for index in indices if expectations[index].meta.variable in rows]
    if not present:
        return []
    positions = {index: np.asarray(rows[str(expectations[index].meta.variable)]) for index in present}
    longest = max(len(of_variable) for of_variable in positions.values())
    values = chunk["value"].to_numpy(dtype=np.float64)
    wide, renamed = {}, []
    for index in present:
        name = str(expectations[index].meta.variable)
        column = np.full(longest, np.nan)
        column[: len(positions[index])] = values[positions[index]]
        wide[name] = column
        renamed.append(expectations[index].model_copy(update={"kwargs": expectations[index].kwargs | {"column": name}}))
    found = _unexpected(pd.DataFrame(wide), renamed)
    return [(index, positions[index][local]) for index, local in zip(present, found, strict=True)]


def _unexpected(frame: pd.DataFrame, expectations: Sequence[SuiteExpectation]) -> list[np.ndarray]:
    """The positions in `frame` that break each expectation."""
    if frame.empty or not expectations:
        return [np.empty(0, dtype=np.int64) for _ in expectations]
    needed = sorted({column for one in expectations for column in one.columns})
    results = _validate(frame[needed], expectations)
    return [_positions(result, one, len(frame)) for result, one in zip(results, expectations, strict=True)]


def _validate(frame: pd.DataFrame, expectations: Sequence[SuiteExpectation]) -> list[Any]:
    import great_expectations as gx

    configured = [
        {"type": one.type, "kwargs": one.kwargs, "severity": one.severity, "meta": {"position": position}}
        for position, one in enumerate(expectations)
    ]
    try:
        suite = gx.ExpectationSuite(name="contract", expectations=configured)
    except Exception as error:
        raise ConfigError(f"a suite's expectation is not one that Great Expectations knows: {error}") from error
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": frame})
    validated = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    by_position = {result.expectation_config.meta["position"]: result for result in validated.results}
    return [by_position[position] for position in range(len(expectations))]


@cache
def _batch_definition() -> Any:
    """One ephemeral context a process: making one takes longer than checking a small table."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("contracts")
    return source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")


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
