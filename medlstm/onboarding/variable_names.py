"""Which of medlstm's variables a received name means, and which unit its values seem to be in.

`values/reference/variable_synonyms.csv` has the names in lower case without punctuation; `usual_medians.csv` has, in
each variable's own unit, the range in which the median of a hospital's values lies.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from medlstm.onboarding.column_roles import plain
from medlstm.values.units import unit_table

# What may stand beside a variable's name and leave its meaning.
_BESIDE = ("serum", "plasma", "blood", "level", "value", "valuenum", "result", "measured", "total", "num", "arterial",
           "venous", "numeric", "mean", "avg", "bedside", "lab", "vital", "inserum", "inplasma", "inblood", "s",
           "p")  # fmt: skip
_WRITTEN = {"pct": "%", "percent": "%", "c": "Cel", "f": "[degF]", "celsius": "Cel", "fahrenheit": "[degF]",
            "bpm": "/min", "lbs": "[lb_av]", "lb": "[lb_av]", "inch": "[in_i]", "inches": "[in_i]"}  # fmt: skip

# Of the units that any variable may be in, those that hospitals use beside the usual ones.
_LIKELY = ("kPa", "[lb_av]", "[in_i]", "m", "g/L", "1", "/uL", "L", "g")


@dataclass(frozen=True)
class MeantVariable:
    """`variable` of the reference table; `unit` in UCUM where the name itself says one."""

    variable: str
    unit: str | None = None


@cache
def _synonyms() -> dict[str, str]:
    return {row["synonym"]: row["variable"] for row in _reference("variable_synonyms.csv")}


@cache
def _usual() -> dict[str, tuple[float, float]]:
    rows = _reference("usual_medians.csv")
    return {row["variable"]: (float(row["lower"]), float(row["upper"])) for row in rows}


def _reference(name: str) -> list[dict[str, str]]:
    text = resources.files("medlstm.values").joinpath("reference", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def meant_variable(name: str) -> MeantVariable | None:
    """The variable that a column's or a test's name means: a synonym, a LOINC code, with or without its unit."""
    name = name.strip()
    table = unit_table()
    found = table.variables.get(name) or (name if name in table.units else None) or _synonyms().get(plain(name))
    if found:
        return MeantVariable(found)
    for head, tail in _splits(name):
        variable = _synonyms().get(plain(head))
        if variable is None:
            continue
        unit = _unit(variable, tail)
        if unit or plain(tail) in _BESIDE:
            return MeantVariable(variable, unit)
    return None


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """The name cut in two at each mark between its words, the longest beginning first."""
    for place in sorted((found.start() for found in re.finditer(r"[ _(\[,.:-]", name)), reverse=True):
        if place:
            yield name[:place], name[place + 1 :]
    for word in _BESIDE:
        if name.lower().startswith((f"{word} ", f"{word}_")):
            yield name[len(word) + 1 :], word


def _unit(variable: str, tail: str) -> str | None:
    text = tail.strip(" ()[]_.,-")
    ways = (text, _WRITTEN.get(text.lower(), ""), text.replace("_", "/"), text.replace("_per_", "/"))
    table = unit_table()
    known = (table.ucum(one) for one in ways if one)
    return next((one for one in known if variable in table.units and table.conversion(variable, one)), None)


@dataclass(frozen=True)
class JudgedUnit:
    """`verdict`: the median is usual for the variable's own unit, or for `unit`, or for none; None: nothing known."""

    verdict: Literal["own", "other", "none", "unknown"]
    unit: str | None = None


def judged_unit(variable: str, median: float) -> JudgedUnit:
    """The unit that makes a median of received values usual."""
    if variable not in _usual():
        return JudgedUnit("unknown")
    lower, upper = _usual()[variable]
    if lower <= median <= upper:
        return JudgedUnit("own")
    table = unit_table()
    ways = sorted(
        ((name == "*", unit) for name, unit, meant in table.conversions
         if (name == variable or (name == "*" and unit in _LIKELY)) and meant == table.units[variable]),
    )  # fmt: skip
    for _, unit in ways:
        factor, offset = table.conversion(variable, unit) or (0.0, 0.0)
        if lower <= median * factor + offset <= upper:
            return JudgedUnit("other", unit)
    return JudgedUnit("none")
