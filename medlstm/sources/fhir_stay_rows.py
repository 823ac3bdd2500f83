"""Raw rows of stays: those that a delivery names, and those whose facts it changes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.lake.schemas import RETRACTED
from medlstm.settings.workspace import Config
from medlstm.sources.fhir_facts import Fact
from medlstm.sources.fhir_resources import Encounter, Person
from medlstm.sources.fhir_stays import Known, Stay, Stays
from medlstm.sources.source_batch import BATCH_ROWS, RowBatch, raw_rows
from medlstm.sources.times import ages, deaths_in_stay


class _Row(NamedTuple):
    source_file: str
    source_row: int
    stay: Stay
    retracted: bool


def stay_rows(
    facts: list[Fact], known: Known, before: Stays, after: Stays, counts: Counter[str], config: Config
) -> Iterator[RowBatch]:
    """Of each stay that the facts name or change one row, where its encounter was delivered; a stay that there was
    before, and that is none any more, is taken back."""
    rows = sorted(_rows(facts, known, before, after, counts), key=lambda row: (row.source_file, row.source_row))
    for name, of_file in groupby(rows, key=lambda row: row.source_file):
        listed = list(of_file)
        for start in range(0, len(listed), BATCH_ROWS):
            yield RowBatch("stays", _table(listed[start : start + BATCH_ROWS], name, config))


def _rows(
    facts: list[Fact], known: Known, before: Stays, after: Stays, counts: Counter[str]
) -> Iterator[_Row]:
    counts["patients are deleted; from now on the gender and age of their stays are missing"] += sum(
        one.kind == "Patient" and one.what is None for one in facts
    )
    delivered = _newest_encounters(facts, known, counts)
    for key, one in delivered.items():
        _count(key, one, known, after, counts)
    for key, one in delivered.items():
        stay = after.by_id.get(key)
        if stay is not None:
            yield _Row(one.source_file, one.source_row, stay, False)
        elif key in before.by_id or one.content.retracted:
            yield _Row(one.source_file, one.source_row, before.by_id.get(key) or _taken_back(key, one, known), True)
    causes = _causes(delivered, facts, before, after)
    for key in sorted({*before.by_id, *after.by_id} - set(delivered)):
        stay, was = after.by_id.get(key), before.by_id.get(key)
        if stay == was or not facts:
            continue
        cause = causes.get(key, facts[0])
        shown = stay or was
        assert shown is not None
        yield _Row(cause.source_file, cause.source_row, shown, stay is None)


def _newest_encounters(facts: list[Fact], known: Known, counts: Counter[str]) -> dict[str, Fact]:
    """The last version of each encounter in the delivery; earlier ones that say something else are counted."""
    delivered: dict[str, Fact] = {}
    for one in facts:
        key = known.index.find(one.whom, one.kind, Counter()) if one.kind == "Encounter" else None
        if key is None:
            continue
        if key in delivered and delivered[key].what != one.what:
            counts["encounters came in several versions; the last one counts"] += 1
        delivered[key] = one
    return delivered


def _count(key: str, one: Fact, known: Known, after: Stays, counts: Counter[str]) -> None:
    encounter = one.what
    if not isinstance(encounter, Encounter):
        counts["encounters are deleted"] += 1
        return
    known.index.find(encounter.part_of, "Encounter", counts)
    patient = known.index.find(encounter.patient, "Patient", counts)
    if key in after.left_out:
        counts[f"encounters {after.left_out[key]}"] += 1
        return
    stay = after.of_encounter.get(key)
    if stay is None:
        return
    if stay in after.stand_ins:
        counts["encounters are part of one that was not delivered; they stand in for it"] += 1
    elif stay != key:
        counts["encounters are part of another; they say where in its stay the patient is"] += 1
    if stay == key and patient is not None and patient not in known.people:
        counts["encounters are of patients that were not delivered; their gender and age are missing"] += 1
    if stay == key and encounter.lacks_end:
        so = "when they were last updated counts" if encounter.updated else "they stay open"
        counts[f"encounters are over and do not say when; {so}"] += 1


def _taken_back(key: str, one: Fact, known: Known) -> Stay:
    """A stay that was never known, or long ago, as far as its resource still says what it was."""
    encounter = one.content
    patient = known.index.find(encounter.patient, "Patient", Counter())
    return Stay(key, patient, encounter.begin, encounter.end, next(iter(encounter.classes), None), encounter.ward,
                encounter.admit_source, encounter.expired, None, known.people.get(patient or "", Person()))  # fmt: skip


def _causes(delivered: dict[str, Fact], facts: list[Fact], before: Stays, after: Stays) -> dict[str, Fact]:
    """Of each stay the delivered resource that may have changed it: one of its encounters, else its patient."""
    causes: dict[str, Fact] = {}
    for key, one in delivered.items():
        for stays in (before, after):
            if key in stays.of_encounter:
                causes[stays.of_encounter[key]] = one
    people = {one.whom.id: one for one in facts if one.kind == "Patient"}
    for key, stay in {**before.by_id, **after.by_id}.items():
        if stay.patient_id in people:
            causes.setdefault(key, people[stay.patient_id])
    return causes


def _table(rows: list[_Row], name: str, config: Config) -> pa.Table:
    stays = [row.stay for row in rows]
    admitted = texts(one.begin for one in stays)
    features = {
        "age": ages(texts(one.person.birth_date for one in stays), admitted, config.workspace.timezone),
        "gender": texts(one.person.gender for one in stays),
        "disease": texts(one.disease for one in stays),
        "ward": texts(one.ward for one in stays),
        "encounter_class": texts(one.encounter_class for one in stays),
        "admit_source": texts(one.admit_source for one in stays),
    }
    columns = {
        "stay_id": texts(one.stay_id for one in stays),
        "patient_id": texts(one.patient_id for one in stays),
        "admitted_at": admitted,
        "discharged_at": texts(one.end for one in stays),
        "died": _died(stays, config.workspace.timezone),
        **{feature: features[feature] for feature in (*config.features.numeric, *config.features.categorical)},
        RETRACTED: texts("true" if row.retracted else None for row in rows),
    }
    return raw_rows(columns, name, np.array([row.source_row for row in rows], dtype=np.int64))


def texts(values: Iterable[str | None]) -> pa.Array:
    """A column of text."""
    return pa.array(list(values), pa.string())


def _died(stays: list[Stay], timezone: str) -> pa.Array:
    """Known once the encounter has ended: by its disposition, or by a death no later than a day after its end."""
    begin, end = texts(one.begin for one in stays), texts(one.end for one in stays)
    in_time = deaths_in_stay(begin, end, texts(one.person.deceased_at for one in stays), timezone)
    expired = pa.array([one.expired and one.end is not None for one in stays], pa.bool_())
    return pc.if_else(expired, "true", in_time)
