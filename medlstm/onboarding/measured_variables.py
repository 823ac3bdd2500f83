"""What the measurements of a file are: medlstm's variables by synonyms, and the units that their values are in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from medlstm.onboarding.column_kinds import Column, filled
from medlstm.onboarding.file_roles import Sheet
from medlstm.onboarding.proposed_parts import Question, Weight
from medlstm.onboarding.variable_names import MeantVariable, judged_unit, meant_variable
from medlstm.values.units import unit_table, why_not_convertible

_FEWEST_VALUES = 5


@dataclass(frozen=True)
class Measured:
    """`spellings`: name as received to medlstm's; `units`: variable to received unit; `known_share` of the rows."""

    spellings: Mapping[str, str]
    units: Mapping[str, str]
    unit_column: str | None
    known_share: float
    reasons: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


def wide_variables(sheet: Sheet, columns: Sequence[Column]) -> Measured:
    """Of a file with a column for each variable."""
    received = {one.name: _numbers(sheet.sample.rows[one.name], one) for one in columns}
    return _measured(received, {name: meant_variable(name) for name in received}, None, (), once_each=True)


def long_variables(sheet: Sheet, names: pd.Series) -> Measured:
    """Of a file with a row for each measurement, whose variables are `names` [n]."""
    value = sheet.roles["value"]
    numbers = _numbers(sheet.sample.rows[value.name], value)
    said = filled(names)
    meant = {str(name): meant_variable(str(name)) for name in said.drop_duplicates().head(5000)}
    unit = sheet.roles.get("unit")
    received = {name: numbers.reindex(said.index[said == name]) for name, one in meant.items() if one}
    questions = _unit_questions(sheet, said, meant, unit) if unit else ()
    counted = said.value_counts()
    known = float(sum(counted[name] for name, one in meant.items() if one)) / max(len(said), 1)
    measured = _measured(received, meant, unit, questions)
    reasons = (f"variable: {known:.1%} of the rows are of {len({one.variable for one in meant.values() if one})} "
               "variables "
               f"that medlstm knows, by {len(received)} of {len(meant)} names",)  # fmt: skip
    doubts = measured.questions
    if known < 0.999:
        doubts += (Question(Weight.LOOK, f"{1 - known:.0%} of the rows are of variables that medlstm does not know, "
                                         "and have "
                            "neither limits nor units; which are worth a spelling?"),)  # fmt: skip
    return replace(measured, known_share=known, reasons=(*reasons, *measured.reasons), questions=doubts)


def _numbers(texts: pd.Series, column: Column) -> pd.Series:
    """The texts as the numbers that the proposal would read."""
    plain = texts.astype("str").str.strip()
    if column.number_style in ("comma", "comma_groups", "point_groups"):
        plain = plain.str.replace(r"[. ]", "", regex=True).str.replace(",", ".") \
            if column.number_style == "comma" else plain  # fmt: skip
    return pd.to_numeric(plain, errors="coerce")


def _measured(
    received: Mapping[str, pd.Series], meant: Mapping[str, MeantVariable | None], unit: Column | None,
    questions: tuple[Question, ...], once_each: bool = False,
) -> Measured:  # fmt: skip
    """`once_each`: two columns that mean one variable would overwrite each other's values."""
    spellings: dict[str, str] = {}
    units: dict[str, str] = {}
    reasons: list[str] = []
    doubts = list(questions)
    taken: dict[str, str] = {}
    for name, numbers in received.items():
        found = meant.get(name)
        if found is None:
            continue
        other = taken.get(found.variable)
        if other and (once_each or (unit is None and not _same_unit(numbers, received[other]))):
            doubts.append(Question(Weight.VALUES, f"{name} and {other} both seem to be {found.variable}; {name} "
                                                  "keeps its "
                                   "name, and so has neither limits nor a unit: what is it?"))  # fmt: skip
            continue
        taken.setdefault(found.variable, name)
        if name != found.variable:
            spellings[name] = found.variable
        if unit is None and found.variable not in units:
            _unit_of(found, numbers, units, reasons, doubts)
    if spellings:
        reasons.append("spellings: names that medlstm knows meet its limits and units")
    column = unit.name if unit else None
    return Measured(spellings, units, column, 1.0, tuple(reasons), tuple(doubts))


def _same_unit(one: pd.Series, other: pd.Series) -> bool:
    """Whether two columns of one variable are of one order of magnitude, so that they may be one variable here."""
    medians = [float(np.nanmedian(numbers)) if numbers.notna().any() else np.nan for numbers in (one, other)]
    if np.isnan(medians).any() or min(medians) <= 0:
        return True
    return max(medians) / min(medians) < 1.6


def _unit_of(
    found: MeantVariable, numbers: pd.Series, units: dict[str, str], reasons: list[str], doubts: list[Question]
) -> None:
    own = unit_table().units.get(found.variable)
    if found.unit:
        if unit_table().ucum(found.unit) != own and why_not_convertible(found.variable, found.unit) is None:
            units[found.variable] = found.unit
            reasons.append(f"units: the name of {found.variable} says {found.unit}")
        return
    if numbers.notna().sum() < _FEWEST_VALUES:
        return
    judged = judged_unit(found.variable, float(np.nanmedian(numbers)))
    if judged.verdict == "other" and judged.unit and why_not_convertible(found.variable, judged.unit) is None:
        units[found.variable] = judged.unit
        doubts.append(Question(Weight.VALUES, f"{found.variable}: its median is usual in {judged.unit} and not in "
                                              f"{own}; is it "
                               f"in {judged.unit}?"))  # fmt: skip
    elif judged.verdict == "none":
        doubts.append(Question(Weight.VALUES, f"{found.variable}: its median is usual neither in {own} nor in a unit "
                                              "that "
                               "medlstm converts; which is its unit?"))  # fmt: skip


def _unit_questions(
    sheet: Sheet, names: pd.Series, meant: Mapping[str, MeantVariable | None], unit: Column
) -> tuple[Question, ...]:
    """Rows whose unit no table converts, and rows without one."""
    units = filled(sheet.sample.rows[unit.name])
    variables = names.map({name: one.variable for name, one in meant.items() if one}).dropna()
    pairs = pd.DataFrame({"variable": variables, "unit": units.reindex(variables.index)})
    counted = pairs.dropna().groupby(["variable", "unit"]).size().reset_index(name="rows")
    unknown = counted[[why_not_convertible(variable, unit) is not None
                       for variable, unit in zip(counted["variable"], counted["unit"], strict=True)]]  # fmt: skip
    doubts = []
    if len(unknown):
        of, share = ", ".join(sorted(set(unknown["variable"]))), unknown["rows"].sum() / len(pairs)
        doubts.append(Question(Weight.VALUES, f"{share:.1%} of the rows, of {of}, have a unit that no table "
                                              "converts, and "
                               "go to quarantine; which units are they?"))  # fmt: skip
    missing = float(pairs["unit"].isna().mean()) if len(pairs) else 0.0
    if missing > 0.01:
        doubts.append(Question(Weight.VALUES, f"{unit.name} is empty in {missing:.0%} of the rows of known "
                                              "variables, which count "
                               "as being in medlstm's own units; are they?"))  # fmt: skip
    return tuple(doubts)
