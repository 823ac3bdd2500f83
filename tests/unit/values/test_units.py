"""The reviewed tables hold together, and conversions give what textbooks give."""

import re

import pyarrow as pa
import pytest

from medlstm.values.units import in_own_units, unit_table, why_not_convertible

TABLE = unit_table()


def _converted(variable, value, unit):
    column = [pa.array([text], pa.string()) for text in (value, variable, unit)]
    return in_own_units(*column).to_pylist()[0]


@pytest.mark.parametrize(
    ("variable", "value", "unit", "expected"),
    [
        ("temperature", "98.6", "°F", 37.0),
        ("temperature", "310.15", "K", 37.0),
        ("glucose", "5.55", "mmol/L", 100.0),
        ("creatinine", "88.4", "µmol/L", 1.0),
        ("bilirubin", "17.1", "umol/L", 1.0),
        ("urea_nitrogen", "3.57", "mmol/L", 10.0),
        ("calcium", "2.495", "mmol/L", 10.0),
        ("lactate", "9.01", "mg/dL", 1.0),
        ("cholesterol", "5.17", "mmol/L", 200.0),
        ("hemoglobin", "9.31", "mmol/L", 15.0),
        ("hemoglobin", "150", "g/L", 15.0),
        ("pao2", "13.33", "kPa", 100.0),
        ("weight", "154.32", "lb", 70.0),
        ("height", "70", "in", 177.8),
        ("white_cells", "7500", "/uL", 7.5),
        ("white_cells", "7.5", "K/uL", 7.5),
        ("white_cells", "7.5", "G/L", 7.5),
        ("sodium", "140", "mEq/L", 140.0),
        ("albumin", "40", "g/l", 4.0),
        ("troponin_t", "14", "ng/L", 0.014),
        ("c_reactive_protein", "5", "mg/dL", 50.0),
        ("fraction_inspired_oxygen", "0.4", "1", 40.0),
        ("urine_output_24h", "1.9", "L/d", 1900.0),
        ("fluid_output_24h", "1900", "mL/(24.h)", 1900.0),
        ("oxygen_flow", "2", "lpm", 2.0),
        ("red_cells", "4.5", "M/uL", 4.5),
        ("egfr", "60", "mL/min/1.73 m2", 60.0),
        ("triglycerides", "1.7", "mmol/L", 150.5),
        ("bnp", "0.1", "ng/mL", 100.0),
    ],
)
def test_conversions_give_what_textbooks_give(variable, value, unit, expected):
    assert float(_converted(variable, value, unit)) == pytest.approx(expected, rel=5e-3)


def test_what_is_in_its_own_unit_or_without_one_stays_exactly_as_received():
    assert _converted("glucose", "5.50", "MG/DL") == "5.50"
    assert _converted("glucose", "5.50", None) == "5.50"
    assert _converted("glucose", "5.50", " ") == "5.50"
    assert _converted("pain", "5.50", "furlong") == "5.50"
    assert _converted("glucose", "high", "mmol/L") == "high"
    assert _converted("glucose", None, "furlong") is None


def test_a_unit_that_no_table_converts_leaves_no_number():
    assert _converted("glucose", "5.5", "g") == "5.5 in g, which no table converts"
    assert why_not_convertible("glucose", "g").startswith("no conversion of glucose from g to mg/dL; known are")


def test_a_variable_has_one_unit_and_conversions_lead_to_it():
    for variable, received, meant in TABLE.conversions:
        assert variable == "*" or TABLE.units[variable] == meant
        assert TABLE.ucum(received) == received
    for unit in TABLE.units.values():
        assert TABLE.ucum(unit) == unit


@pytest.mark.parametrize(
    ("code", "variable"),
    [("3151-8", "oxygen_flow"), ("42637-9", "bnp"), ("75241-0", "procalcitonin"), ("33959-8", "procalcitonin"),
     # What 24 hours add up to is not what an hour gives, and neither is what went in.
     ("9187-6", "urine_output"), ("9192-6", "urine_output_24h"), ("9108-2", "fluid_intake_24h"),
     ("9262-7", "fluid_output_24h")],
)  # fmt: skip
def test_codes_mean_what_loinc_says(code, variable):
    assert TABLE.variables[code] == variable


def test_loinc_codes_have_a_right_check_digit():
    for code in TABLE.variables:
        assert re.fullmatch(r"\d{1,5}-\d", code)
        digits, check = code.split("-")
        # LOINC Users' Guide, appendix C: the odd digits from the right, read as a number, are doubled.
        doubled = [int(one) for one in str(int(digits[::-1][::2]) * 2)]
        rest = [int(one) for one in digits[::-1][1::2]]
        assert (10 - (sum(doubled) + sum(rest)) % 10) % 10 == int(check), code
