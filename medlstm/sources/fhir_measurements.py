"""The numbers of one FHIR Observation (R4 and R5; STU3 calls its encounter the context), as text."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from medlstm.sources.fhir_json import at, items, text
from medlstm.sources.fhir_references import Reference, reference
from medlstm.sources.fhir_resources import ENTERED_IN_ERROR

_LOINC = ("http://loinc.org", "http://loinc.org/", "https://loinc.org", "urn:oid:2.16.840.1.113883.6.1")
_UCUM = ("http://unitsofmeasure.org", "http://unitsofmeasure.org/", "urn:oid:2.16.840.1.113883.6.8")
_NO_RESULT_YET = "registered"
# A result that was sent before and then called off is taken back.
_TAKEN_BACK = (ENTERED_IN_ERROR, "cancelled")


class Code(NamedTuple):
    """A coding; `name` is what `codes` calls it: the code of LOINC, else system|code."""

    name: str
    display: str | None


class Measurement(NamedTuple):
    """One number of an Observation or of a component of it; `variable` is None for codes that nobody mapped, of which
    `code` is the first. `encounter` and `patient` are as referred to; `value` may be None where it is taken back."""

    encounter: Reference | None
    patient: Reference | None
    observed_at: str | None
    variable: str | None
    code: Code | None
    value: str | None
    unit: str | None
    retracted: bool


def measurements(resource: dict[str, Any], variables: dict[str, str]) -> Iterator[Measurement]:
    """The numbers of an Observation: its own and those of its components; none of one without a result.

    `variables`: LOINC code, or system|code, to variable.
    """
    status = text(resource, "status")
    if status == _NO_RESULT_YET:
        return
    retracted = status in _TAKEN_BACK
    at_visit = reference(resource, "encounter") or reference(resource, "context")
    of_patient, when = reference(resource, "subject"), _time(resource)
    for part in (resource, *items(resource, "component")):
        value, unit = _value(part)
        variable, code = _named(part, variables)
        # A row that is taken back needs its key alone.
        if value is None and not (retracted and variable):
            continue
        yield Measurement(at_visit, of_patient, when, variable, code, value, unit, retracted)


def _time(resource: dict[str, Any]) -> str | None:
    return (
        text(resource, "effectiveDateTime") or text(resource, "effectiveInstant")
        or text(resource, "effectivePeriod", "end") or text(resource, "effectivePeriod", "start")
        or text(resource, "effectiveTiming", "event", 0)
    )  # fmt: skip


def _named(part: Any, variables: dict[str, str]) -> tuple[str | None, Code | None]:
    first = None
    for coding in items(part, "code", "coding"):
        system, code = text(coding, "system"), text(coding, "code")
        if code is None:
            continue
        found = variables.get(f"{system or ''}|{code}") or (variables.get(code) if system in _LOINC else None)
        if found:
            return found, None
        if first is None:
            name = code if system in _LOINC else f"{system or ''}|{code}"
            first = Code(name, text(coding, "display"))
    return None, first


def _value(part: Any) -> tuple[str | None, str | None]:
    """The number with its comparator, if it has one, and the unit, in UCUM where it is coded."""
    quantity = at(part, "valueQuantity")
    number = text(quantity, "value") or text(part, "valueInteger")
    if number is None:
        return None, None
    unit = text(quantity, "code") if text(quantity, "system") in _UCUM else None
    return (text(quantity, "comparator") or "") + number, unit or text(quantity, "unit")
