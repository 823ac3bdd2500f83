"""What medlstm takes from one FHIR R4 resource (https://hl7.org/fhir/R4/), as text, whatever shape it is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ENTERED_IN_ERROR = "entered-in-error"
# Stays that never began, or orders and requests without a result.
_NOT_STAYS = ("planned", "cancelled")
_NOT_RESULTS = ("registered", "cancelled")


@dataclass(frozen=True)
class Person:
    """A Patient: texts as received; `deceased_at` is None where no time is given."""

    gender: str | None
    birth_date: str | None
    deceased_at: str | None


@dataclass(frozen=True)
class Encounter:
    """An Encounter; `first_condition` is the id of its principal diagnosis."""

    stay_id: str
    patient_id: str | None
    begin: str | None
    end: str | None
    encounter_class: str | None
    ward: str | None
    admit_source: str | None
    expired: bool
    happened: bool
    retracted: bool
    first_condition: str | None


@dataclass(frozen=True)
class Measurement:
    """One number of an Observation or of a component of it; `variable` is None for codes that nobody mapped."""

    stay_id: str | None
    patient_id: str | None
    observed_at: str | None
    variable: str | None
    value: str | None
    unit: str | None
    retracted: bool


def at(content: Any, *path: str | int) -> Any:
    """The value at a path of names and list places, None where the path leads nowhere."""
    for part in path:
        if isinstance(content, dict):
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            return None
    return content


def text(content: Any, *path: str | int) -> str | None:
    """As `at`, if there is a text that is not blank."""
    found = at(content, *path)
    return found if isinstance(found, str) and found.strip() else None


def items(content: Any, *path: str | int) -> list[Any]:
    """As `at`, if there is a list; else an empty one."""
    found = at(content, *path)
    return found if isinstance(found, list) else []


def reference_id(content: Any, *path: str | int) -> str | None:
    """The id that a reference such as Patient/7, https://…/Patient/7/_history/1 or urn:uuid:7 points to."""
    found = text(content, *path, "reference")
    if found is None:
        return None
    return found.split("/_history/")[0].removeprefix("urn:uuid:").rsplit("/", 1)[-1]


def person(resource: dict[str, Any]) -> Person:
    """From a Patient."""
    return Person(text(resource, "gender"), text(resource, "birthDate"), text(resource, "deceasedDateTime"))


def encounter(resource: dict[str, Any]) -> Encounter:
    """From an Encounter; its ward is the newest location, the last that is listed where none has a time."""
    status = text(resource, "status")
    places = sorted(items(resource, "location"), key=lambda place: text(place, "period", "start") or "")
    wards = [text(place, "location", "display") or reference_id(place, "location") for place in places]
    diagnoses = [one for one in items(resource, "diagnosis") if reference_id(one, "condition")]
    ranked = sorted(diagnoses, key=lambda one: float(_number(one, "rank") or "inf"))
    dispositions = items(resource, "hospitalization", "dischargeDisposition", "coding")
    return Encounter(
        stay_id=resource["id"],
        patient_id=reference_id(resource, "subject"),
        begin=text(resource, "period", "start"),
        end=text(resource, "period", "end"),
        encounter_class=text(resource, "class", "code"),
        ward=next((ward for ward in reversed(wards) if ward), None),
        admit_source=text(resource, "hospitalization", "admitSource", "coding", 0, "code"),
        expired=any(text(one, "code") == "exp" for one in dispositions),
        happened=status not in _NOT_STAYS,
        retracted=status == ENTERED_IN_ERROR,
        first_condition=reference_id(ranked[0], "condition") if ranked else None,
    )


def _number(content: Any, *path: str | int) -> str | None:
    found = text(content, *path)
    try:
        return found if found is not None and float(found) == float(found) else None
    except ValueError:
        return None


def disease(resource: dict[str, Any], names: dict[str, str]) -> str | None:
    """A Condition's name: by the first pattern of `names` that a code fits, "other" if none does; with no names as
    coded. None for one that was refuted or entered in error."""
    verification = text(resource, "verificationStatus", "coding", 0, "code")
    if verification in ("refuted", ENTERED_IN_ERROR):
        return None
    codings = items(resource, "code", "coding")
    codes = [code for code in (text(one, "code") for one in codings) if code]
    if not names:
        return text(resource, "code", "text") or text(codings, 0, "display") or next(iter(codes), None)
    fitting = (name for pattern, name in names.items() if any(fnmatchcase(code, pattern) for code in codes))
    return next(fitting, "other" if codes else None)


def measurements(resource: dict[str, Any], variables: dict[str, str]) -> Iterator[Measurement]:
    """The numbers of an Observation: its own and those of its components; none of one without a result.

    `variables`: LOINC code, or system|code, to variable.
    """
    status = text(resource, "status")
    if status in _NOT_RESULTS:
        return
    when = (
        text(resource, "effectiveDateTime") or text(resource, "effectiveInstant")
        or text(resource, "effectivePeriod", "end") or text(resource, "effectivePeriod", "start")
    )  # fmt: skip
    for part in (resource, *items(resource, "component")):
        value, unit = _value(part)
        if value is None:
            continue
        yield Measurement(
            stay_id=reference_id(resource, "encounter"),
            patient_id=reference_id(resource, "subject"),
            observed_at=when,
            variable=_variable(part, variables),
            value=value,
            unit=unit,
            retracted=status == ENTERED_IN_ERROR,
        )


def _variable(part: Any, variables: dict[str, str]) -> str | None:
    for coding in items(part, "code", "coding"):
        system, code = text(coding, "system"), text(coding, "code")
        if code is None:
            continue
        found = variables.get(f"{system}|{code}") or (variables.get(code) if system == LOINC else None)
        if found:
            return found
    return None


def _value(part: Any) -> tuple[str | None, str | None]:
    """The number with its comparator, if it has one, and the unit, in UCUM where it is coded."""
    quantity = at(part, "valueQuantity")
    number = text(quantity, "value") or text(part, "valueInteger")
    if number is None:
        return None, None
    unit = text(quantity, "code") if text(quantity, "system") == UCUM else None
    return (text(quantity, "comparator") or "") + number, unit or text(quantity, "unit")
