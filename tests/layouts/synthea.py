"""Synthea's CSV export (https://github.com/synthetichealth/synthea/wiki/CSV-File-Data-Dictionary), and its FHIR R4
export of one Bundle per patient, of the same made-up people."""

import json
from datetime import date
from pathlib import Path

from tests.layouts.copies import Copies, earlier, named
from tests.layouts.files import write_csv

DAY = date(2020, 6, 1)
PATIENTS = (
    "Id,BIRTHDATE,DEATHDATE,SSN,DRIVERS,PASSPORT,PREFIX,FIRST,MIDDLE,LAST,SUFFIX,MAIDEN,MARITAL,RACE,ETHNICITY,GENDER,"
    "BIRTHPLACE,ADDRESS,CITY,STATE,COUNTY,FIPS,ZIP,LAT,LON,HEALTHCARE_EXPENSES,HEALTHCARE_COVERAGE,INCOME"
)
ENCOUNTERS = (
    "Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE,DESCRIPTION,BASE_ENCOUNTER_COST,"
    "TOTAL_CLAIM_COST,PAYER_COVERAGE,REASONCODE,REASONDESCRIPTION"
)
CONDITIONS = "START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION"
OBSERVATION_HEADER = "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"

_TIMES = {
    "e1": ("2020-03-01T10:00", "2020-03-03T06:00", True),
    "e2": ("2020-05-28T21:30", None, None),
    "e5": ("2020-04-01T10:00", "2020-04-01T15:00", True),
}
_WHO = {"e1": ("p1", 59.0, "female"), "e2": ("p2", 31.0, "male"), "e5": ("p3", 80.0, "female")}
_TYPES = {"e1": "Admission to intensive care unit (procedure)", "e2": "Hospital admission", "e5": "Hospital admission"}


def _stay(key: str, *more: str | None) -> tuple:
    patient, age, gender = _WHO[key]
    return (patient, *_TIMES[key], age, gender, *more)


# stay: patient, admission, discharge, died, age, gender, disease, encounter_type
STAYS = {
    "e1": _stay("e1", "Sepsis (disorder)", _TYPES["e1"]),
    "e2": _stay("e2", "Pneumonia (disorder)", _TYPES["e2"]),
    "e5": _stay("e5", None, _TYPES["e5"]),
}
# … and of the Bundles: age, gender, disease, ward
BUNDLE_STAYS = {
    "e1": _stay("e1", "Lactic acidosis (disorder)", "CITY HOSPITAL"),
    "e2": _stay("e2", "Cough (finding)", "CITY HOSPITAL"),
    "e5": _stay("e5", None, "CITY HOSPITAL"),
}
OBSERVATIONS = {
    ("e1", "2020-03-01T11:00", "heart_rate"): 88.0,
    ("e1", "2020-03-01T11:00", "systolic_bp"): 121.0,
    ("e1", "2020-03-01T11:00", "diastolic_bp"): 75.0,
    ("e2", "2020-05-29T06:00", "glucose"): 99.0858,
    ("e2", "2020-05-29T06:00", "white_cells"): 9.2,
}

_PEOPLE = {
    "p1": ("1960-05-25", "2020-03-03", "F"), "p2": ("1989-02-01", "", "M"), "p3": ("1939-12-31", "2020-04-01", "F"),
}  # fmt: skip
_VISITS = [
    ("e1", "p1", "2020-03-01T10:00:00Z", "2020-03-03T06:00:00Z", "inpatient", "Sepsis (disorder)"),
    ("e2", "p2", "2020-05-28T21:30:00Z", "", "inpatient", ""),
    ("e3", "p2", "2019-01-10T09:00:00Z", "2019-01-10T09:15:00Z", "ambulatory", ""),
    ("e4", "p1", "2020-02-28T09:00:00Z", "2020-02-28T11:00:00Z", "emergency", ""),
    ("e5", "p3", "2020-04-01T10:00:00Z", "2020-04-01T15:00:00Z", "inpatient", ""),
]
_FOUND = [
    ("2020-03-01", "p1", "e1", "Lactic acidosis (disorder)"),
    ("2020-05-29", "p2", "e2", "Pneumonia (disorder)"),
    ("2020-05-28", "p2", "e2", "Cough (finding)"),
    ("2019-01-10", "p2", "e3", "Stress (finding)"),
]
_MEASURED = [
    ("2020-03-01T11:00:00Z", "p1", "e1", "8867-4", "88", "/min", "numeric"),
    ("2020-03-01T11:00:00Z", "p1", "e1", "8480-6", "121", "mm[Hg]", "numeric"),
    ("2020-03-01T11:00:00Z", "p1", "e1", "8462-4", "75", "mm[Hg]", "numeric"),
    ("2020-05-29T06:00:00Z", "p2", "e2", "2339-0", "5.5", "mmol/L", "numeric"),
    ("2020-05-29T06:00:00Z", "p2", "e2", "6690-2", "9.2", "10*3/uL", "numeric"),
    ("2020-05-29T06:00:00Z", "p2", "e2", "55758-7", "2", "{score}", "numeric"),
    ("2020-05-29T06:00:00Z", "p2", "e2", "72166-2", "Never smoked tobacco (finding)", "", "text"),
    ("2019-01-10T09:00:00Z", "p2", "e3", "8867-4", "70", "/min", "numeric"),
    ("2019-12-31T00:00:00Z", "p2", "", "QALY", "30.0", "a", "numeric"),
]


def write_csv_export(folder: Path, number: int = 1) -> None:
    """What lies in output/csv, each row `number` times; one other file of it too, which nothing reads."""
    copies = Copies(number, ("Id", "PATIENT", "ENCOUNTER"), ("DEATHDATE", "START", "STOP", "DATE"))
    people = [{"Id": key, "BIRTHDATE": born, "DEATHDATE": died, "FIRST": "Ann", "LAST": "Doe", "GENDER": gender}
              for key, (born, died, gender) in _PEOPLE.items()]  # fmt: skip
    visits = [
        {"Id": key, "START": start, "STOP": stop, "PATIENT": patient, "ENCOUNTERCLASS": kind,
         "DESCRIPTION": _TYPES.get(key, "Encounter for problem (procedure)"), "REASONDESCRIPTION": reason}
        for key, patient, start, stop, kind, reason in _VISITS
    ]  # fmt: skip
    found = [{"START": start, "PATIENT": patient, "ENCOUNTER": key, "SYSTEM": "http://snomed.info/sct",
              "DESCRIPTION": name} for start, patient, key, name in _FOUND]  # fmt: skip
    measured = [dict(zip(("DATE", "PATIENT", "ENCOUNTER", "CODE", "VALUE", "UNITS", "TYPE"), row, strict=True))
                for row in _MEASURED]  # fmt: skip
    write_csv(folder / "patients.csv", PATIENTS, *people, copies=copies)
    write_csv(folder / "encounters.csv", ENCOUNTERS, *visits, copies=copies)
    write_csv(folder / "conditions.csv", CONDITIONS, *found, copies=copies)
    write_csv(folder / "observations.csv", OBSERVATION_HEADER, *measured, copies=copies)
    write_csv(folder / "payer_transitions.csv", "PATIENT,MEMBERID,START_DATE,END_DATE,PAYER,SECONDARY_PAYER,"
              "PLAN_OWNERSHIP,OWNER_NAME", {"PATIENT": "p1"})  # fmt: skip


def write_bundles(folder: Path, number: int = 1) -> None:
    """What lies in output/fhir: a transaction Bundle per patient, indented, `number` copies of each; one of the
    hospital."""
    folder.mkdir(parents=True)
    for copy in range(number):
        for key in _PEOPLE:
            found, measured = _conditions(key, copy), _observations(key, copy)
            resources = [_patient(key, copy), *_encounters(key, copy), *found, *measured]
            _write_bundle(folder / f"Ann_Doe_{named(key, copy)}.json", resources)
    _write_bundle(folder / "hospitalInformation1.json", [{"resourceType": "Organization", "id": "o1", "name": "CITY"}])


def _write_bundle(path: Path, resources: list[dict]) -> None:
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one,
                "request": {"method": "POST", "url": one["resourceType"]}} for one in resources]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    path.write_text(json.dumps(bundle, indent=2), encoding="utf-8")


def _urn(identifier: str, copy: int) -> str:
    return f"urn:uuid:{named(identifier, copy)}"


def _patient(key: str, copy: int) -> dict:
    born, died, gender = _PEOPLE[key]
    death = {"deceasedDateTime": earlier(died, copy)} if died else {}
    return {"resourceType": "Patient", "id": named(key, copy), "birthDate": born,
            "gender": {"F": "female", "M": "male"}[gender]} | death  # fmt: skip


def _encounters(patient: str, copy: int) -> list[dict]:
    classes = {"inpatient": "IMP", "ambulatory": "AMB", "emergency": "EMER"}
    return [
        {"resourceType": "Encounter", "id": named(key, copy), "status": "finished" if stop else "in-progress",
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": classes[kind]},
         "subject": {"reference": _urn(patient, copy), "display": "Ann Doe"},
         "period": {"start": earlier(start, copy)} | ({"end": earlier(stop, copy)} if stop else {}),
         "location": [{"location": {"reference": "Location?identifier=https://synthea|1", "display": "CITY HOSPITAL"}}],
         "serviceProvider": {"reference": "Organization?identifier=https://synthea|1", "display": "CITY HOSPITAL"}}
        for key, whose, start, stop, kind, _ in _VISITS if whose == patient
    ]  # fmt: skip


def _conditions(patient: str, copy: int) -> list[dict]:
    return [
        {"resourceType": "Condition", "id": named(f"c{number}", copy), "subject": {"reference": _urn(patient, copy)},
         "encounter": {"reference": _urn(key, copy)}, "onsetDateTime": earlier(start, copy),
         "code": {"coding": [{"system": "http://snomed.info/sct", "code": "1", "display": name}], "text": name}}
        for number, (start, whose, key, name) in enumerate(sorted(_FOUND)) if whose == patient
    ]  # fmt: skip


def _observations(patient: str, copy: int) -> list[dict]:
    return [
        {"resourceType": "Observation", "id": named(f"m{number}", copy), "status": "final",
         "effectiveDateTime": earlier(at, copy), "code": {"coding": [{"system": LOINC, "code": code}]},
         "subject": {"reference": _urn(patient, copy)},
         "encounter": {"reference": _urn(key, copy)}}
        | ({"valueQuantity": {"value": float(value), "unit": unit, "system": UCUM, "code": unit}}
           if kind == "numeric" else {"valueCodeableConcept": {"text": value}})
        for number, (at, whose, key, code, value, unit, kind) in enumerate(_MEASURED) if whose == patient and key
    ]  # fmt: skip
