"""OMOP CDM 5.4: its tables as the published DDL makes them (https://github.com/OHDSI/CommonDataModel), and some rows.

Only tables that hold rows are made, each with every column that is published.
"""

from collections.abc import Iterator
from datetime import date

from tests.layouts.copies import Copies

DAY = date(2026, 3, 28)

DDL = """
create table person (person_id integer not null, gender_concept_id integer not null, year_of_birth integer not null,
    month_of_birth integer null, day_of_birth integer null, birth_datetime timestamp null,
    race_concept_id integer not null, ethnicity_concept_id integer not null, location_id integer null,
    provider_id integer null, care_site_id integer null, person_source_value varchar(50) null,
    gender_source_value varchar(50) null, gender_source_concept_id integer null, race_source_value varchar(50) null,
    race_source_concept_id integer null, ethnicity_source_value varchar(50) null,
    ethnicity_source_concept_id integer null);
create table visit_occurrence (visit_occurrence_id integer not null, person_id integer not null,
    visit_concept_id integer not null, visit_start_date date not null, visit_start_datetime timestamp null,
    visit_end_date date not null, visit_end_datetime timestamp null, visit_type_concept_id integer not null,
    provider_id integer null, care_site_id integer null, visit_source_value varchar(50) null,
    visit_source_concept_id integer null, admitted_from_concept_id integer null,
    admitted_from_source_value varchar(50) null, discharged_to_concept_id integer null,
    discharged_to_source_value varchar(50) null, preceding_visit_occurrence_id integer null);
create table visit_detail (visit_detail_id integer not null, person_id integer not null,
    visit_detail_concept_id integer not null, visit_detail_start_date date not null,
    visit_detail_start_datetime timestamp null, visit_detail_end_date date not null,
    visit_detail_end_datetime timestamp null, visit_detail_type_concept_id integer not null, provider_id integer null,
    care_site_id integer null, visit_detail_source_value varchar(50) null,
    visit_detail_source_concept_id integer null, admitted_from_concept_id integer null,
    admitted_from_source_value varchar(50) null, discharged_to_source_value varchar(50) null,
    discharged_to_concept_id integer null, preceding_visit_detail_id integer null,
    parent_visit_detail_id integer null, visit_occurrence_id integer not null);
create table condition_occurrence (condition_occurrence_id integer not null, person_id integer not null,
    condition_concept_id integer not null, condition_start_date date not null, condition_start_datetime timestamp null,
    condition_end_date date null, condition_end_datetime timestamp null, condition_type_concept_id integer not null,
    condition_status_concept_id integer null, stop_reason varchar(20) null, provider_id integer null,
    visit_occurrence_id integer null, visit_detail_id integer null, condition_source_value varchar(50) null,
    condition_source_concept_id integer null, condition_status_source_value varchar(50) null);
create table measurement (measurement_id integer not null, person_id integer not null,
    measurement_concept_id integer not null, measurement_date date not null, measurement_datetime timestamp null,
    measurement_time varchar(10) null, measurement_type_concept_id integer not null, operator_concept_id integer null,
    value_as_number numeric null, value_as_concept_id integer null, unit_concept_id integer null,
    range_low numeric null, range_high numeric null, provider_id integer null, visit_occurrence_id integer null,
    visit_detail_id integer null, measurement_source_value varchar(50) null,
    measurement_source_concept_id integer null, unit_source_value varchar(50) null,
    unit_source_concept_id integer null, value_source_value varchar(50) null, measurement_event_id integer null,
    meas_event_field_concept_id integer null);
create table death (person_id integer not null, death_date date not null, death_datetime timestamp null,
    death_type_concept_id integer null, cause_concept_id integer null, cause_source_value varchar(50) null,
    cause_source_concept_id integer null);
create table care_site (care_site_id integer not null, care_site_name varchar(255) null,
    place_of_service_concept_id integer null, location_id integer null, care_site_source_value varchar(50) null,
    place_of_service_source_value varchar(50) null);
create table cdm_source (cdm_source_name varchar(255) not null, cdm_source_abbreviation varchar(25) not null,
    cdm_holder varchar(255) not null, source_description text null, source_documentation_reference varchar(255) null,
    cdm_etl_reference varchar(255) null, source_release_date date not null, cdm_release_date date not null,
    cdm_version varchar(10) null, cdm_version_concept_id integer not null, vocabulary_version varchar(20) not null);
create table concept (concept_id integer not null, concept_name varchar(255) not null, domain_id varchar(20) not null,
    vocabulary_id varchar(20) not null, concept_class_id varchar(20) not null, standard_concept varchar(1) null,
    concept_code varchar(50) not null, valid_start_date date not null, valid_end_date date not null,
    invalid_reason varchar(1) null)
"""

# stay: patient, admission, discharge, died, age, gender, ward, disease
STAYS = {
    "101": ("1", "2026-03-01T10:00", "2026-03-05T12:00", False, 65.0, "female", "Intensive care", "Pneumonia"),
    "102": ("2", "2026-03-10T00:00", "2026-03-12T06:00", True, 80.0, "male", "City Hospital", None),
    "103": ("1", "2026-03-27T08:00", None, None, 65.0, "female", "Intensive Care", "Heart failure"),
    "105": ("3", "2026-03-20T09:00", "2026-03-20T15:00", True, 50.0, "unknown", None, None),
}
OBSERVATIONS = {
    ("101", "2026-03-02T08:00", "heart_rate"): 88.0,
    ("101", "2026-03-02T08:00", "glucose"): 99.0858,
    ("101", "2026-03-03T06:00", "potassium"): 4.2,
    ("103", "2026-03-27T09:00", "temperature"): 37.0,
    ("103", "2026-03-28T00:00", "alt"): 35.0,
}

_CONCEPTS = [
    (0, "No matching concept", "None", "No matching concept"), (9201, "Inpatient Visit", "Visit", "IP"),
    (32037, "Intensive Care", "Visit", "OMOP4822460"), (3027018, "Heart rate", "LOINC", "8867-4"),
    (3004501, "Glucose [Mass/volume] in Serum or Plasma", "LOINC", "2345-7"),
    (3023103, "Potassium [Moles/volume] in Serum or Plasma", "LOINC", "2823-3"),
    (3006923, "Alanine aminotransferase in Serum or Plasma", "LOINC", "1742-6"),
    (3020460, "C reactive protein [Mass/volume] in Serum or Plasma", "LOINC", "1988-5"),
    (42869847, "Patient Health Questionnaire 2 item total score", "LOINC", "55758-7"),
    (4302666, "Body temperature", "SNOMED", "386725007"),
    (255848, "Pneumonia", "SNOMED", "233604007"), (132797, "Sepsis", "SNOMED", "91302008"),
    (316139, "Heart failure", "SNOMED", "84114007"), (8541, "per minute", "UCUM", "/min"),
    (8753, "millimole per liter", "UCUM", "mmol/L"), (9289, "degree Fahrenheit", "UCUM", "[degF]"),
    (8645, "unit per liter", "UCUM", "[U]/L"), (8751, "milligram per liter", "UCUM", "mg/L"),
]  # fmt: skip


_IDENTIFIERS = ("person_id", "visit_occurrence_id", "visit_detail_id", "condition_occurrence_id", "measurement_id")
_TIMES = (
    "visit_start_date", "visit_start_datetime", "visit_end_date", "visit_end_datetime", "visit_detail_start_date",
    "visit_detail_start_datetime", "visit_detail_end_date", "condition_start_date", "measurement_date",
    "measurement_datetime", "death_date", "death_datetime",
)  # fmt: skip


def statements(number: int = 1) -> Iterator[str]:
    """The tables and their rows, those of persons `number` times, in SQL that any database understands."""
    # What is of the day of the pull is of it in every copy: it is what tells a visit that goes on.
    copies = Copies(number, _IDENTIFIERS, _TIMES, kept=DAY.isoformat())
    yield from (one.strip() for one in DDL.split(";"))
    people = {"person": _PERSONS, "visit_occurrence": _VISITS, "visit_detail": _DETAILS,
              "condition_occurrence": _FOUND, "measurement": _MEASURED, "death": _DEATHS}  # fmt: skip
    shared = {"care_site": _SITES, "cdm_source": _SOURCE, "concept": [_concept(*one) for one in _CONCEPTS]}
    for table, contents in ({table: copies.of(rows) for table, rows in people.items()} | shared).items():
        for row in contents:
            values = ", ".join("null" if one is None else repr(one) for one in row.values())
            yield f"insert into {table} ({', '.join(row)}) values ({values})"


def _concept(number: int, name: str, vocabulary: str, code: str) -> dict[str, object]:
    return {"concept_id": number, "concept_name": name, "domain_id": "Any", "vocabulary_id": vocabulary,
            "concept_class_id": "Any", "concept_code": code, "valid_start_date": "1970-01-01",
            "valid_end_date": "2099-12-31"}  # fmt: skip


def _person(number: int, gender: int, year: int, birth: str | None = None) -> dict[str, object]:
    return {"person_id": number, "gender_concept_id": gender, "year_of_birth": year, "birth_datetime": birth,
            "race_concept_id": 0, "ethnicity_concept_id": 0}  # fmt: skip


def _visit(number: int, person: int, kind: int, start: str, end: str, site: int | None = None) -> dict[str, object]:
    return {"visit_occurrence_id": number, "person_id": person, "visit_concept_id": kind,
            "visit_start_date": start[:10], "visit_start_datetime": start if len(start) > 10 else None,
            "visit_end_date": end[:10], "visit_end_datetime": end, "visit_type_concept_id": 32817,
            "care_site_id": site}  # fmt: skip


def _detail(number: int, visit: int, start: str, site: int | None, kind: int = 0) -> dict[str, object]:
    return {"visit_detail_id": number, "person_id": 1, "visit_detail_concept_id": kind,
            "visit_detail_start_date": start[:10], "visit_detail_start_datetime": start,
            "visit_detail_end_date": start[:10], "visit_detail_type_concept_id": 32817, "care_site_id": site,
            "visit_occurrence_id": visit}  # fmt: skip


def _condition(number: int, visit: int, concept: int, start: str, status: int | None) -> dict[str, object]:
    return {"condition_occurrence_id": number, "person_id": 1, "condition_concept_id": concept,
            "condition_start_date": start, "condition_type_concept_id": 32817, "condition_status_concept_id": status,
            "visit_occurrence_id": visit}  # fmt: skip


def _measured(number: int, person: int, visit: int | None, concept: int, at: str, value: float | None, unit: int,
              **more: object) -> dict[str, object]:  # fmt: skip
    return {"measurement_id": number, "person_id": person, "visit_occurrence_id": visit,
            "measurement_concept_id": concept, "measurement_date": at[:10],
            "measurement_datetime": at if len(at) > 10 else None, "measurement_type_concept_id": 32817,
            "value_as_number": value, "unit_concept_id": unit} | more  # fmt: skip


_PERSONS = [_person(1, 8532, 1960, "1960-05-25 00:00:00"), _person(2, 8507, 1946), _person(3, 0, 1976)]
_VISITS = [
    _visit(101, 1, 9201, "2026-03-01 10:00:00", "2026-03-05 12:00:00", 1),
    _visit(102, 2, 262, "2026-03-10", "2026-03-12 06:00:00", 1),
    # In a bed when the data were pulled: the convention gives it the pull as its end.
    _visit(103, 1, 9201, "2026-03-27 08:00:00", "2026-03-28 03:00:00"),
    _visit(104, 3, 9202, "2026-03-25 10:00:00", "2026-03-25 10:30:00"),
    _visit(105, 3, 8717, "2026-03-20 09:00:00", "2026-03-20 15:00:00"),
]
_DETAILS = [
    _detail(2, 101, "2026-03-02 07:00:00", 2),
    _detail(1, 101, "2026-03-01 10:00:00", 3),
    _detail(3, 103, "2026-03-27 08:00:00", None, 32037),
]
_FOUND = [
    _condition(1, 101, 132797, "2026-03-01", 32902),
    _condition(2, 101, 255848, "2026-03-01", 32890),
    _condition(3, 102, 132797, "2026-03-12", 32903),
    _condition(6, 102, 255848, "2026-03-12", 32909),
    _condition(4, 103, 316139, "2026-03-27", None),
    _condition(5, 105, 0, "2026-03-20", None),
]
_DEATHS = [
    {"person_id": 2, "death_date": "2026-03-12", "death_datetime": None},
    {"person_id": 3, "death_date": "2026-03-20", "death_datetime": "2026-03-20 15:00:00"},
]
_SITES = [{"care_site_id": number, "care_site_name": name}
          for number, name in ((1, "City Hospital"), (2, "Intensive care"), (3, "Emergency"))]  # fmt: skip
_SOURCE = [
    {"cdm_source_name": "made up", "cdm_source_abbreviation": "M", "cdm_holder": "nobody", "cdm_version": "5.4",
     "source_release_date": "2026-03-28", "cdm_release_date": "2026-03-29", "cdm_version_concept_id": 756265,
     "vocabulary_version": "v5.0"},
]  # fmt: skip
_MEASURED = [
    _measured(1, 1, 101, 3027018, "2026-03-02 08:00:00", 88, 8541),
    _measured(2, 1, 101, 3004501, "2026-03-02 08:00:00", 5.5, 8753, operator_concept_id=4172703),
    _measured(3, 1, None, 3023103, "2026-03-03 06:00:00", 4.2, 0, unit_source_value="mEq/L"),
    _measured(4, 1, 103, 4302666, "2026-03-27 09:00:00", 98.6, 9289),
    _measured(5, 3, 104, 3027018, "2026-03-25 10:10:00", 70, 8541),
    _measured(6, 1, 101, 3020460, "2026-03-02 08:00:00", 5, 8751, operator_concept_id=4171756),
    _measured(7, 1, 101, 3027018, "2026-03-02 09:00:00", None, 8541),
    _measured(8, 1, 101, 42869847, "2026-03-02 08:00:00", 2, 0),
    _measured(9, 1, 103, 3006923, "2026-03-28", 35, 8645),
    _measured(10, 3, None, 3027018, "2026-03-26 10:10:00", 71, 8541),
]
