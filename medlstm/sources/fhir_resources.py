"""What medlstm takes from one FHIR resource (R4 and R5, https://hl7.org/fhir/), as text, whatever shape it is in."""

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from medlstm.sources.fhir_json import at, each, items, text
from medlstm.sources.fhir_references import Identifier, Reference, identifiers, reference

ENTERED_IN_ERROR = "entered-in-error"
# The status that medlstm gives to a resource that a Bundle deletes.
DELETED = "deleted"
# Stays that never began; and stays that are over, in R4 and R5.
_NOT_STAYS = ("planned", "cancelled")
_OVER = ("finished", "completed", "discharged", "discontinued")
_FORESEEN_PLACES = ("planned", "reserved")


class Person(NamedTuple):
    """A Patient: texts as received; `deceased_at` is None where no time is given."""

    gender: str | None = None
    birth_date: str | None = None
    deceased_at: str | None = None
    identifiers: tuple[Identifier, ...] = ()


class Condition(NamedTuple):
    """A Condition; `stands` is False for one that was refuted, entered in error or deleted."""

    stands: bool = False
    encounter: Reference | None = None
    codes: tuple[str, ...] = ()
    name: str | None = None


class Encounter(NamedTuple):
    """An Encounter; `first_condition` is its principal diagnosis, `updated` when its sender last changed it."""

    status: str | None = None
    patient: Reference | None = None
    part_of: Reference | None = None
    begin: str | None = None
    end: str | None = None
    updated: str | None = None
    classes: tuple[str, ...] = ()
    ward: str | None = None
    admit_source: str | None = None
    expired: bool = False
    first_condition: Reference | None = None
    identifiers: tuple[Identifier, ...] = ()

    @property
    def retracted(self) -> bool:
        """Whether its sender takes it back."""
        return self.status in (ENTERED_IN_ERROR, DELETED)

    @property
    def stands(self) -> bool:
        """Whether the patient came, as far as is known."""
        return not self.retracted and self.status not in _NOT_STAYS

    @property
    def lacks_end(self) -> bool:
        """Whether it is over, and nothing says when."""
        return self.end is None and self.status in _OVER


def person(resource: dict[str, Any]) -> Person:
    """From a Patient."""
    return Person(text(resource, "gender"), text(resource, "birthDate"), text(resource, "deceasedDateTime"),
                  identifiers(resource))  # fmt: skip


def encounter(resource: dict[str, Any]) -> Encounter:
    """From an Encounter; its ward is the newest location, the last that is listed where none has a time."""
    period = at(resource, "period") or at(resource, "actualPeriod")
    stay = at(resource, "hospitalization") or at(resource, "admission")
    conditions = [condition for condition in map(_diagnosed, _ranked(items(resource, "diagnosis"))) if condition]
    return Encounter(
        status=text(resource, "status"),
        patient=reference(resource, "subject"),
        part_of=reference(resource, "partOf"),
        begin=text(period, "start"),
        end=text(period, "end"),
        updated=text(resource, "meta", "lastUpdated"),
        classes=tuple(_classes(resource)),
        ward=_ward(resource),
        admit_source=text(stay, "admitSource", "coding", 0, "code"),
        expired=any(text(one, "code") == "exp" for one in items(stay, "dischargeDisposition", "coding")),
        first_condition=conditions[0] if conditions else None,
        identifiers=identifiers(resource),
    )


def _classes(resource: dict[str, Any]) -> list[str]:
    """The codes of R4's Coding, or of R5's list of CodeableConcepts."""
    codes = []
    for one in each(resource, "class"):
        codes += [text(coding, "code") for coding in items(one, "coding")] or [text(one, "code")]
    return [code for code in codes if code]


def _ward(resource: dict[str, Any]) -> str | None:
    places = [one for one in items(resource, "location") if text(one, "status") not in _FORESEEN_PLACES]
    wards = []
    for one in sorted(places, key=lambda place: text(place, "period", "start") or ""):
        named = reference(one, "location")
        wards.append(text(one, "location", "display") or (named.id if named else None))
    return next((ward for ward in reversed(wards) if ward), None)


def _ranked(diagnoses: list[Any]) -> list[Any]:
    return sorted(diagnoses, key=lambda one: float(_number(one, "rank") or "inf"))


def _diagnosed(diagnosis: Any) -> Reference | None:
    """R4 has one reference, R5 a list of CodeableReferences."""
    found = (reference(one) for one in each(diagnosis, "condition"))
    return next((one for one in found if one), None)


def _number(content: Any, *path: str | int) -> str | None:
    found = text(content, *path)
    try:
        return found if found is not None and float(found) == float(found) else None
    except ValueError:
        return None


def condition(resource: dict[str, Any]) -> Condition:
    """From a Condition."""
    codings = items(resource, "code", "coding")
    return Condition(
        stands=text(resource, "verificationStatus", "coding", 0, "code") not in ("refuted", ENTERED_IN_ERROR),
        encounter=reference(resource, "encounter"),
        codes=tuple(code for code in (text(one, "code") for one in codings) if code),
        name=text(resource, "code", "text") or text(codings, 0, "display"),
    )


def disease(one: Condition, names: dict[str, str]) -> str | None:
    """A Condition's name: by the first pattern of `names` that a code fits, "other" if none does; with no names as
    coded. None for one that does not stand."""
    if not one.stands:
        return None
    if not names:
        return one.name or next(iter(one.codes), None)
    fitting = (name for pattern, name in names.items() if any(fnmatchcase(code, pattern) for code in one.codes))
    return next(fitting, "other" if one.codes else None)
