"""FHIR R4 resources as Bulk Data exports them (https://hl7.org/fhir/uv/bulkdata/): NDJSON, one type per file.

Encounters of the wanted classes are stays, with gender and birth date from Patient and the disease from Condition.
Observations are measurements, by LOINC code (medlstm/values/reference/variables.csv) and in the variable's own unit.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa

from medlstm.errors import ConfigError
from medlstm.lake.schemas import RETRACTED
from medlstm.settings.source import FhirSource, JoinSection, TableMapping
from medlstm.settings.workspace import Config
from medlstm.sources import json_lines
from medlstm.sources.fhir_resources import (
    Encounter,
    Measurement,
    Person,
    disease,
    encounter,
    measurements,
    person,
    reference_id,
    text,
)
from medlstm.sources.joins import Lookup, make_lookup, with_joined
from medlstm.sources.mapping import Received
from medlstm.sources.source_batch import (
    FilesRead,
    Landed,
    LandingFolder,
    LandingWarning,
    RowBatch,
    TableName,
    UnreadableFile,
    raw_rows,
    unparsed_rows,
)
from medlstm.sources.times import ages
from medlstm.values.parsing import parse_timestamps
from medlstm.values.units import in_own_units, unit_table

FEATURES = ("age", "gender", "disease", "ward", "encounter_class", "admit_source")
_BATCH_LINES = 20_000
_TABLES: dict[str, TableName] = {
    "Patient": "stays", "Condition": "stays", "Encounter": "stays", "Observation": "observations",
}  # fmt: skip
_STAY_OF_TIME = JoinSection.model_validate(
    {"name": "stay", "pattern": "*", "on": {"patient_id": "patient_id"},
     "between": {"time": "observed_at", "start": "begin", "stop": "end"}}
)  # fmt: skip
_MAPPING = TableMapping(table="observations", columns={"stay_id": "stay.stay_id"})


@dataclass
class _Known:
    """What the resources read so far say: people and diseases by id, and the encounters of this delivery."""

    people: dict[str, Person] = field(default_factory=dict)
    diseases: dict[str, str] = field(default_factory=dict)
    disease_of_stay: dict[str, str] = field(default_factory=dict)
    stays: list[Encounter] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


def read(landing: LandingFolder, config: Config) -> Iterator[Landed]:
    """Patients and conditions first, then encounters as stays, then observations. Raises ConfigError for a feature
    that no resource gives."""
    source = config.source
    assert isinstance(source, FhirSource)
    _require_known_features(config)
    files, others = _files_by_type(landing, source)
    known = _Known()
    for kind in _TABLES:
        for path in files.get(kind, []):
            yield from _read_file(path, kind, known, landing, config)
    for what, rows in sorted((+known.counts).items()):
        yield LandingWarning(f"{landing.extract_date}: {rows} {what}")
    for name, reason in others:
        yield UnreadableFile(name, reason)
    rest = sorted(set(files) - set(_TABLES))
    if rest:
        number = sum(len(files[kind]) for kind in rest)
        yield LandingWarning(f"{landing.extract_date}: {number} files of {', '.join(rest)} hold nothing that is used")
    unmatched = sum(not fnmatch(landing.name(path), source.files) for path in landing.files)
    if unmatched:
        yield LandingWarning(
            f"{landing.extract_date}: {unmatched} of {len(landing.files)} files do not match {source.files} and were "
            "not read"
        )


def _require_known_features(config: Config) -> None:
    for name in (*config.features.numeric, *config.features.categorical):
        if name not in FEATURES:
            raise ConfigError(f"features: {name} is none that the fhir source gives; it gives {', '.join(FEATURES)}")


def _files_by_type(landing: LandingFolder, source: FhirSource) -> tuple[dict[str, list[Path]], list[tuple[str, str]]]:
    """Files by the type of their first resource, and (name, reason) of those that have none. Empty files count as
    read: an export of nothing."""
    files: dict[str, list[Path]] = {}
    others = []
    for path in landing.files:
        if not fnmatch(landing.name(path), source.files):
            continue
        try:
            batch = next(json_lines.read_json_lines(path, 50), [])
        except OSError as error:
            others.append((landing.name(path), f"cannot be read ({type(error).__name__}); is it complete?"))
            continue
        kinds = [text(content, "resourceType") for _, content, _ in batch]
        kind = next((kind for kind in kinds if kind), None)
        if kind is None and batch:
            others.append((landing.name(path), "none of its first lines is a FHIR resource; is it NDJSON?"))
        else:
            files.setdefault(kind or "Patient", []).append(path)
    return files, others


def _read_file(path: Path, kind: str, known: _Known, landing: LandingFolder, config: Config) -> Iterator[Landed]:
    name = landing.name(path)
    stay_of_time = _stay_of_time(known, config) if kind == "Observation" else None
    try:
        for batch in json_lines.read_json_lines(path, _BATCH_LINES):
            resources = [(number, one) for number, one, _ in batch if _is_resource(one, kind)]
            if kind == "Patient":
                known.people |= {one["id"]: person(one) for _, one in resources}
            elif kind == "Condition":
                _note_conditions((one for _, one in resources), known, config)
            elif kind == "Encounter":
                yield RowBatch("stays", _stays(resources, name, known, config))
            elif stay_of_time:
                yield RowBatch("observations", _observations(resources, name, known, stay_of_time, config))
            bad = [(number, line or json.dumps(one)) for number, one, line in batch
                   if not _is_resource(one, kind)]  # fmt: skip
            if bad:
                yield RowBatch(_TABLES[kind], unparsed_rows(name, bad))
        yield FilesRead((name,))
    except OSError as error:
        yield UnreadableFile(name, f"cannot be read to its end ({type(error).__name__}); is it complete?")


def _is_resource(content: dict[str, Any] | None, kind: str) -> TypeGuard[dict[str, Any]]:
    return text(content, "resourceType") == kind and text(content, "id") is not None


def _note_conditions(conditions: Iterable[dict[str, Any]], known: _Known, config: Config) -> None:
    assert isinstance(config.source, FhirSource)
    for condition in conditions:
        found = disease(condition, config.source.conditions)
        if found is None:
            continue
        known.diseases[condition["id"]] = found
        stay = reference_id(condition, "encounter")
        if stay is not None:
            known.disease_of_stay.setdefault(stay, found)


def _stays(resources: list[tuple[int, dict[str, Any]]], name: str, known: _Known, config: Config) -> pa.Table:
    assert isinstance(config.source, FhirSource)
    classes = config.source.encounter_classes
    kept: list[tuple[int, Encounter]] = []
    for number, resource in resources:
        one = encounter(resource)
        if not one.happened or (classes and one.encounter_class not in classes):
            known.left_out.add(one.stay_id)
            reason = "planned or cancelled" if not one.happened else "of a class that encounter_classes does not name"
            known.counts[f"encounters are {reason} and were left out"] += 1
            continue
        if one.patient_id not in known.people:
            known.counts["encounters are of patients that were not delivered; their gender and age are missing"] += 1
        kept.append((number, one))
    stays = [one for _, one in kept]
    known.stays += stays
    nobody = Person(None, None, None)
    people = [known.people.get(one.patient_id or "", nobody) for one in stays]
    admitted = _texts(one.begin for one in stays)
    features = {
        "age": ages(_texts(one.birth_date for one in people), admitted, config.workspace.timezone),
        "gender": _texts(one.gender for one in people),
        "disease": _texts(known.diseases.get(one.first_condition or "") or known.disease_of_stay.get(one.stay_id)
                          for one in stays),
        "ward": _texts(one.ward for one in stays),
        "encounter_class": _texts(one.encounter_class for one in stays),
        "admit_source": _texts(one.admit_source for one in stays),
    }  # fmt: skip
    columns = {
        "stay_id": _texts(one.stay_id for one in stays),
        "patient_id": _texts(one.patient_id for one in stays),
        "admitted_at": admitted,
        "discharged_at": _texts(one.end for one in stays),
        "died": _died(stays, people, config.workspace.timezone),
        **{feature: features[feature] for feature in (*config.features.numeric, *config.features.categorical)},
        RETRACTED: _texts("true" if one.retracted else None for one in stays),
    }
    return raw_rows(columns, name, np.array([number for number, _ in kept], dtype=np.int64))


def _texts(values: Iterable[str | None]) -> pa.Array:
    return pa.array(list(values), pa.string())


def _died(stays: list[Encounter], people: list[Person], timezone: str) -> pa.Array:
    """Known once the encounter has ended: by its disposition, or by a death no later than a day after its end."""
    begin, end, death = (
        parse_timestamps(column.to_pandas().astype("str"), timezone).values
        for column in (_texts(one.begin for one in stays), _texts(one.end for one in stays),
                       _texts(one.deceased_at for one in people))
    )  # fmt: skip
    in_time = ((death >= begin) & ((death - end).dt.total_seconds() <= 86400)).fillna(False)
    return _texts(
        None if one.end is None else "true" if one.expired or within else "false"
        for one, within in zip(stays, in_time, strict=True)
    )


def _stay_of_time(known: _Known, config: Config) -> Lookup:
    """The delivery's encounters by patient and time, for observations that name no encounter."""
    table = pa.table(
        {
            "patient_id": _texts(one.patient_id for one in known.stays),
            "begin": _texts(one.begin for one in known.stays),
            "end": _texts(one.end for one in known.stays),
            "stay_id": _texts(one.stay_id for one in known.stays),
        }
    )
    return make_lookup(_STAY_OF_TIME, set(table.column_names), [table], _MAPPING, config.workspace.timezone)


def _observations(
    resources: list[tuple[int, dict[str, Any]]], name: str, known: _Known, stay_of_time: Lookup, config: Config
) -> pa.Table:
    assert isinstance(config.source, FhirSource)
    variables = unit_table().variables | config.source.codes
    found: list[tuple[int, Measurement]] = []
    for number, resource in resources:
        numbers = list(measurements(resource, variables))
        known.counts["observations hold no number and were left out"] += not numbers
        for one in numbers:
            if one.variable is None:
                known.counts["numbers have a code that neither medlstm nor codes names, and were left out"] += 1
            elif one.stay_id in known.left_out:
                known.counts["numbers belong to encounters that were left out"] += 1
            else:
                found.append((number, one))
    rows = [one for _, one in found]
    numbers_of_rows = np.array([number for number, _ in found], dtype=np.int64)
    variable, times = _texts(one.variable for one in rows), _texts(one.observed_at for one in rows)
    columns = {
        "stay_id": _stay_ids(rows, times, stay_of_time, known, config),
        "observed_at": times,
        "variable": variable,
        "value": in_own_units(_texts(one.value for one in rows), variable, _texts(one.unit for one in rows)),
        RETRACTED: _texts("true" if one.retracted else None for one in rows),
    }
    return raw_rows(columns, name, numbers_of_rows)


def _stay_ids(
    rows: list[Measurement], times: pa.Array, stay_of_time: Lookup, known: _Known, config: Config
) -> pa.Array:
    """The encounter that each row names; where it names none, the one in which its patient was at that time."""
    nameless = [place for place, one in enumerate(rows) if one.stay_id is None]
    ids = [one.stay_id for one in rows]
    if nameless:
        columns = pa.table({"patient_id": _texts(rows[place].patient_id for place in nameless),
                            "observed_at": times.take(pa.array(nameless))})  # fmt: skip
        received = Received(columns.column_names, columns, np.array(nameless), [])
        joined, unfound = with_joined(received, stay_of_time, _MAPPING, config.workspace.timezone)
        known.counts["numbers name no encounter, and lie in none of their patient's that were delivered"] += unfound
        for place, stay in zip(nameless, joined.columns.column("stay.stay_id").to_pylist(), strict=True):
            ids[place] = stay
    return _texts(ids)
