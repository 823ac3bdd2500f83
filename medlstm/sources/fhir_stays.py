"""Stays from all encounters that are known: which of them are stays, and which are places within one.

A stay is the outermost encounter of a class that counts; the encounters that are part of it, over any number of
levels, say where in it the patient lies. An encounter whose outermost one has not been delivered stands in for it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from medlstm.settings.source import FhirSource
from medlstm.sources.fhir_facts import Fact
from medlstm.sources.fhir_references import ReferenceIndex
from medlstm.sources.fhir_resources import Condition, Encounter, Person, disease
from medlstm.values.parsing import parse_timestamps


@dataclass
class Known:
    """The newest version of every resource, by id."""

    people: dict[str, Person] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    encounters: dict[str, Encounter] = field(default_factory=dict)
    index: ReferenceIndex = field(default_factory=ReferenceIndex)

    def learn(self, facts: Iterable[Fact], counts: Counter[str]) -> None:
        """Take facts in, in their order; one that deletes by a search is counted where the search finds nothing."""
        places = {"Patient": self.people, "Condition": self.conditions, "Encounter": self.encounters}
        for one in facts:
            key = self.index.find(one.whom, one.kind, counts)
            if key is None:
                continue
            places[one.kind][key] = one.content  # type: ignore[index]
            self.index.add(one.kind, key, getattr(one.content, "identifiers", ()))
            if one.full_url:
                self.index.add_url(one.full_url, key)


class Stay(NamedTuple):
    """A stay as it is known, texts as received."""

    stay_id: str
    patient_id: str | None
    begin: str | None
    end: str | None
    encounter_class: str | None
    ward: str | None
    admit_source: str | None
    expired: bool
    disease: str | None
    person: Person


@dataclass(frozen=True)
class Stays:
    """`by_id`; `of_encounter`: the stay of each encounter that is in one; `left_out`: encounters that are in none by
    their class or status, with the reason; `stand_ins`: stays whose own encounter has not been delivered."""

    by_id: dict[str, Stay]
    of_encounter: dict[str, str]
    left_out: dict[str, str]
    stand_ins: frozenset[str]


_NOBODY = Person()
UNBEGUN = "are planned or cancelled and were left out"
UNWANTED = "are of a class that encounter_classes does not name and were left out"


def stays_of(known: Known, source: FhirSource, timezone: str, counts: Counter[str]) -> Stays:
    """All stays that are known; encounters that are part of themselves are counted."""
    parents = _parents(known, counts)
    of_encounter = {}
    for key, one in known.encounters.items():
        stay = _outermost(key, known, parents, source) if one.stands else None
        if stay is not None:
            of_encounter[key] = stay
    members: dict[str, list[str]] = {}
    for key, stay in of_encounter.items():
        members.setdefault(stay, []).append(key)
    named = _diseases(known, source)
    ends = {key: one.updated if one.lacks_end else one.end for key, one in known.encounters.items()}
    order = _by_time(known, parents, ends, timezone)
    by_id = {
        stay: _stay(stay, sorted(keys, key=order.__getitem__), known, named, ends, source)
        for stay, keys in members.items()
    }
    left_out = {
        key: UNBEGUN if not one.stands else UNWANTED
        for key, one in known.encounters.items()
        if key not in of_encounter and not one.retracted
    }
    return Stays(by_id, of_encounter, left_out, frozenset(set(by_id) - set(known.encounters)))


def _parents(known: Known, counts: Counter[str]) -> dict[str, str]:
    """The encounter that each one is part of; a circle is cut open, and counted."""
    parents = {}
    for key, one in known.encounters.items():
        parent = known.index.find(one.part_of, "Encounter", Counter())
        if parent is not None:
            parents[key] = parent
    for key in list(parents):
        above, seen = parents.get(key), {key}
        while above is not None and above not in seen:
            seen.add(above)
            above = parents.get(above)
        if above == key:
            del parents[key]
            counts["encounters are part of themselves; they are taken as outermost ones"] += 1
    return parents


def _chain(key: str, parents: dict[str, str]) -> Iterator[str]:
    """The encounter and those that it is part of, from the innermost to the outermost."""
    above: str | None = key
    while above is not None:
        yield above
        above = parents.get(above)


def _is_wanted(one: Encounter, source: FhirSource) -> bool:
    return not source.encounter_classes or any(code in source.encounter_classes for code in one.classes)


def _outermost(key: str, known: Known, parents: dict[str, str], source: FhirSource) -> str | None:
    """The stay that an encounter belongs to; what its parents are counts as far as they stand."""
    found, below_wanted = None, False
    for one in _chain(key, parents):
        if one not in known.encounters:
            return one if below_wanted else found
        if not known.encounters[one].stands:
            return found
        below_wanted = _is_wanted(known.encounters[one], source)
        found = one if below_wanted else found
    return found


def _diseases(known: Known, source: FhirSource) -> dict[str, str]:
    """The name of the first condition that names each encounter."""
    found: dict[str, str] = {}
    for one in known.conditions.values():
        name = disease(one, source.conditions)
        key = known.index.find(one.encounter, "Encounter", Counter())
        if name is not None and key is not None:
            found.setdefault(key, name)
    return found


def _by_time(
    known: Known, parents: dict[str, str], ends: dict[str, str | None], timezone: str
) -> dict[str, tuple[float, float, int]]:
    """How late each encounter ends (infinity while open), how late it begins, and how deep within others it lies."""
    keys = list(known.encounters)
    begins = _seconds([known.encounters[key].begin for key in keys], -math.inf, timezone)
    last = _seconds([ends[key] for key in keys], math.inf, timezone)
    deep = (sum(1 for _ in _chain(key, parents)) for key in keys)
    return dict(zip(keys, zip(last, begins, deep, strict=True), strict=True))


def _seconds(moments: list[str | None], missing: float, timezone: str) -> list[float]:
    values = parse_timestamps(pd.Series(moments, dtype="str"), timezone).values
    return (values - pd.Timestamp(0, tz="UTC")).dt.total_seconds().fillna(missing).to_list()


def _stay(
    stay: str, keys: list[str], known: Known, named: dict[str, str], ends: dict[str, str | None], source: FhirSource
) -> Stay:
    """`keys`: the stay's encounters, last the one in which the patient lies now, or lay in the end."""
    own = known.encounters.get(stay)
    parts = [known.encounters[key] for key in keys]
    first = own or parts[0]
    inner = [known.encounters[key].ward for key in keys if key != stay]
    patients = (known.index.find(one.patient, "Patient", Counter()) for one in [first, *parts])
    patient = next((one for one in patients if one is not None), None)
    principal = (known.index.find(one.first_condition, "Condition", Counter()) for one in [first, *parts])
    diagnoses = [disease(known.conditions.get(key or "", Condition()), source.conditions) for key in principal]
    diagnoses += [named.get(key) for key in [stay, *keys]]
    wanted = [code for code in first.classes if code in source.encounter_classes] or list(first.classes)
    begins = [one.begin for one in parts if one.begin]
    closed = all(ends[key] for key in keys)
    return Stay(
        stay_id=stay,
        patient_id=patient,
        begin=own.begin if own else min(begins, default=None),
        end=ends[stay] if own else ends[keys[-1]] if closed else None,
        encounter_class=wanted[0] if wanted else None,
        ward=next((ward for ward in [*reversed(inner), own and own.ward] if ward), None),
        admit_source=first.admit_source,
        expired=any(one.expired for one in [first, *parts]),
        disease=next((one for one in diagnoses if one is not None), None),
        person=known.people.get(patient or "", _NOBODY),
    )
