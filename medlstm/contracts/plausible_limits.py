"""Plausible limits of variables, from one reviewed table; a value outside is an error of unit, device or typing."""

import csv
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from medlstm.errors import ConfigError
from medlstm.settings.workspace import Config

LOWER, UPPER = "lower_limit", "upper_limit"
# The name of the rule that a variable's value outside its limits breaks.
VARIABLE_RULE = "{variable}_impossible"
_COLUMNS = ["variable", "unit", "lower", "upper", "source"]
_NAME = "limits.csv"


@dataclass(frozen=True)
class Limit:
    """Both limits are themselves plausible; `source` says where they are from."""

    unit: str
    lower: float
    upper: float
    source: str


@dataclass(frozen=True)
class Limits:
    """Limits by variable; a variable without an entry has none."""

    by_variable: dict[str, Limit]

    def of(self, variables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits [n + 1] float64 of the names [n], NaN where there is none and at the end."""
        found = [self.by_variable.get(name) for name in variables]
        lower = np.array([one.lower if one else math.nan for one in found] + [math.nan])
        upper = np.array([one.upper if one else math.nan for one in found] + [math.nan])
        return lower, upper

    def describe(self, variable: str) -> str:
        """Words for a quarantined row."""
        limit = self.by_variable[variable]
        unit = "" if limit.unit == "1" else f" {limit.unit}"
        return f"{variable}: not within {limit.lower:g} and {limit.upper:g}{unit}"


def load_limits(config: Config, workspace_root: Path) -> Limits:
    """The packaged limits; a limits.csv in contracts.suites_folder adds variables and replaces the limits of others.

    Raises ConfigError naming file, line and what is wrong.
    """
    packaged = resources.files("data_contracts").joinpath(_NAME).read_text("utf-8")
    limits = _read(packaged, f"data_contracts/{_NAME}")
    if config.contracts.suites_folder:
        own = workspace_root / config.contracts.suites_folder / _NAME
        if own.is_file():
            limits |= _read(own.read_text("utf-8"), str(own))
    return Limits(limits)


def _read(text: str, origin: str) -> dict[str, Limit]:
    rows = csv.DictReader(text.splitlines())
    if rows.fieldnames != _COLUMNS:
        raise ConfigError(f"{origin}: the header must be {','.join(_COLUMNS)}")
    limits: dict[str, Limit] = {}
    for number, row in enumerate(rows, start=2):
        try:
            lower, upper = float(row["lower"]), float(row["upper"])
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{origin}: line {number}: lower and upper must be numbers") from error
        if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
            raise ConfigError(f"{origin}: line {number}: lower must be below upper, both finite")
        if not row["source"] or not row["unit"] or row["variable"] in limits:
            raise ConfigError(f"{origin}: line {number}: each variable needs a unit and a source, and one line only")
        limits[row["variable"]] = Limit(row["unit"], lower, upper, row["source"])
    return limits
