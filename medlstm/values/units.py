"""Units of received values: their spellings, and the reviewed conversions to the unit that a variable has here.

The tables are `reference/variables.csv` (variable, unit in UCUM, LOINC code), `reference/conversions.csv` (a value in
`to_unit` is value * factor + offset, with the source of each figure; * stands for any variable) and
`reference/unit_spellings.csv`.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.values.parsing import parse_numbers
from medlstm.values.text_columns import Text

_ANY = "*"


@dataclass(frozen=True)
class UnitTable:
    """`units`: variable to its unit; `variables`: LOINC code to variable; conversions by (variable, from, to)."""

    units: dict[str, str]
    variables: dict[str, str]
    conversions: dict[tuple[str, str, str], tuple[float, float]]
    spellings: dict[str, str]

    def ucum(self, text: str) -> str:
        """The UCUM code of a unit's spelling; a text that is not known stays as it is."""
        plain = text.strip()
        return self.spellings.get(plain) or self.spellings.get(plain.lower()) or plain

    def conversion(self, variable: str, unit: str) -> tuple[float, float] | None:
        """(factor, offset) from `unit`, in any spelling, to the variable's own; None where no table says how."""
        received, meant = self.ucum(unit), self.units[variable]
        if received == meant:
            return 1.0, 0.0
        found = self.conversions.get((variable, received, meant))
        return found or self.conversions.get((_ANY, received, meant))


@cache
def unit_table() -> UnitTable:
    """The shipped tables."""
    variables = _rows("variables.csv")
    conversions = {
        (row["variable"], row["from_unit"], row["to_unit"]): (float(row["factor"]), float(row["offset"]))
        for row in _rows("conversions.csv")
    }
    units = {row["variable"]: row["unit"] for row in variables}
    known = {*units.values(), *(unit for _, received, meant in conversions for unit in (received, meant))}
    written = {row["spelling"]: row["ucum"] for row in _rows("unit_spellings.csv")}
    return UnitTable(
        units, {row["loinc"]: row["variable"] for row in variables}, conversions, _spellings(known, written)
    )


def _spellings(known: set[str], written: dict[str, str]) -> dict[str, str]:
    """Exact spellings, and lower-case ones where only one unit is meant."""
    exact = {**written, **{unit: unit for unit in known}}
    lowered: dict[str, set[str]] = {}
    for spelling, unit in exact.items():
        lowered.setdefault(spelling.lower(), set()).add(unit)
    return {**{text: min(units) for text, units in lowered.items() if len(units) == 1}, **exact}


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("medlstm.values").joinpath("reference", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def why_not_convertible(variable: str, unit: str) -> str | None:
    """Why values of `variable` in `unit` cannot be brought to the variable's own unit; None if they can."""
    table = unit_table()
    if variable not in table.units:
        return (
            f"{variable} is no variable of medlstm/values/reference/variables.csv, so nothing says its unit; rename "
            "it with "
            f"spellings.variable, or leave its unit out. Known: {', '.join(sorted(table.units))}"
        )
    if table.conversion(variable, unit) is None:
        ways = sorted(received for name, received, meant in table.conversions
                      if name in (variable, _ANY) and meant == table.units[variable])  # fmt: skip
        return f"no conversion of {variable} from {unit} to {table.units[variable]}; known are {', '.join(ways)}"
    return None


def in_own_units(values: Text, variables: Text, units: Text) -> pa.Array:
    """Values [n] as text in the unit of their variable, from text values, variables and units [n].

    A row without a unit, a variable that no table knows, and a text that is no number stay as they are. A unit that
    cannot be converted is appended to its value, which then is no number: the contract quarantines the row.
    """
    table = unit_table()
    texts = values.cast(pa.string()).to_pandas().astype("str")
    variable_codes, names = pd.factorize(_plain(variables))
    unit_codes, spellings = pd.factorize(_plain(units))
    out = texts.to_numpy(dtype=object, na_value=None).copy()
    pairs = (variable_codes.astype(np.int64) << 32) | unit_codes
    pairs[(variable_codes < 0) | (unit_codes < 0)] = -1
    for pair in np.unique(pairs[pairs >= 0]):
        name, unit = names[pair >> 32], spellings[pair & 0xFFFFFFFF]
        if name not in table.units:
            continue
        found = table.conversion(name, unit)
        if found == (1.0, 0.0):
            continue
        rows = np.flatnonzero((pairs == pair) & texts.notna().to_numpy())
        out[rows] = _converted(texts.iloc[rows], found, unit)
    return pa.array(out, pa.string())


def _plain(column: Text) -> pd.Series:
    stripped = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return stripped.to_pandas().astype("str").replace("", None)


def _converted(texts: pd.Series, conversion: tuple[float, float] | None, unit: str) -> np.ndarray:
    if conversion is None:
        return (texts + f" in {unit}, which no table converts").to_numpy(dtype=object)
    numbers = parse_numbers(texts).values.to_numpy(dtype=np.float64, na_value=np.nan)
    factor, offset = conversion
    return np.array(
        [text if np.isnan(number) else f"{number * factor + offset:.10g}" for text, number in
         zip(texts, numbers, strict=True)],
        dtype=object,
    )  # fmt: skip
