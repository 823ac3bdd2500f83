import gzip
import json
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlstm.errors import ConfigError
from medlstm.settings.workspace import parse_config
from medlstm.sources.fhir_resources import disease, encounter, measurements, person, reference_id
from tests.unit.night import admitted, quarantined, raw, take_in, take_in_and_validate

DAY = date(2026, 3, 28)
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def _config(**source):
    features = {"numeric": ["age"], "categorical": ["gender", "disease", "ward"]}
    limits = {"max_quarantined_share": 1.0}
    return parse_config({"source": {"format": "fhir"} | source, "features": features, "contracts": limits}, {}, "test")


def _patient(key, **more):
    return {"resourceType": "Patient", "id": key, "gender": "female", "birthDate": "1960-03-28"} | more


def _encounter(key, patient, start, end=None, code="IMP", **more):
    period = {"start": start} | ({"end": end} if end else {})
    return {"resourceType": "Encounter", "id": key, "status": "finished" if end else "in-progress",
            "class": {"system": ACT, "code": code}, "subject": {"reference": f"Patient/{patient}"},
            "period": period} | more  # fmt: skip


def _quantity(value, unit):
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _code(code, system=LOINC):
    return {"coding": [{"system": system, "code": code}]}


def _observation(key, code, value, when, **more):
    return {"resourceType": "Observation", "id": key, "status": "final", "code": _code(code),
            "subject": {"reference": "Patient/p1"}, "encounter": {"reference": "Encounter/e1"},
            "effectiveDateTime": when, "valueQuantity": value} | more  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "landing" / DAY.isoformat()
    place.mkdir(parents=True)
    return place


def _write(folder, name, *resources):
    lines = [one if isinstance(one, str) else json.dumps(one) for one in resources]
    (folder / name).write_text("\n".join(lines) + "\n")


def _delivery(folder):
    _write(folder, "Patient.ndjson", _patient("p1"), _patient("p2", deceasedDateTime="2026-03-27T09:00:00Z"))
    ward = [{"location": {"display": "ICU"}, "period": {"start": "2026-03-27T12:00:00Z"}},
            {"location": {"display": "Admissions"}, "period": {"start": "2026-03-27T10:00:00Z"}}]  # fmt: skip
    _write(
        folder, "Encounter.ndjson",
        _encounter("e1", "p1", "2026-03-27T10:00:00+01:00", location=ward),
        _encounter("e2", "p2", "2026-03-25T10:00:00Z", "2026-03-27T10:00:00Z"),
        _encounter("e3", "p1", "2026-03-20T10:00:00Z", "2026-03-20T11:00:00Z", code="AMB"),
        _encounter("e4", "p1", "2026-04-20T10:00:00Z", status="planned"),
    )  # fmt: skip
    _write(
        folder, "Condition.ndjson",
        {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"},
         "encounter": {"reference": "Encounter/e1"}, "code": _code("I50.1")},
    )  # fmt: skip


def test_encounters_become_stays_with_the_statics_of_patients_and_conditions(folder, tmp_path):
    _delivery(folder)
    landed = take_in(tmp_path, DAY, _config(conditions={"I50*": "heart failure"}))
    first, second = raw(tmp_path, "stays", DAY)
    assert (first["stay_id"], first["patient_id"], first["admitted_at"]) == ("e1", "p1", "2026-03-27T10:00:00+01:00")
    assert (first["age"], first["gender"], first["disease"], first["ward"]) == ("65", "female", "heart failure", "ICU")
    assert (first["discharged_at"], first["died"]) == (None, None)
    assert (second["discharged_at"], second["died"], second["disease"]) == ("2026-03-27T10:00:00Z", "true", None)
    assert landed.files_read == 3
    assert [warning.split(": ", 1)[1] for warning in landed.warnings] == [
        "1 encounters are of a class that encounter_classes does not name and were left out",
        "1 encounters are planned or cancelled and were left out",
    ]


def test_observations_are_known_by_their_loinc_code_and_brought_to_their_own_unit(folder, tmp_path):
    _delivery(folder)
    pressure = [{"code": _code("8480-6"), "valueQuantity": _quantity(120, "mm[Hg]")},
                {"code": _code("8462-4"), "valueQuantity": _quantity(80, "mm[Hg]")}]  # fmt: skip
    when = "2026-03-27T11:00:00Z"
    panel = _observation("o3", "85354-9", None, when, component=pressure)
    del panel["valueQuantity"]
    _write(
        folder, "Observation.ndjson",
        _observation("o1", "2345-7", _quantity(5.50, "mmol/L"), when),
        _observation("o2", "8310-5", _quantity(98.6, "[degF]"), when),
        panel,
        _observation("o4", "8867-4", _quantity(80, "/min"), when, status="entered-in-error"),
        _observation("o5", "99999-9", _quantity(1, "1"), when),
        _observation("o6", "8867-4", None, when, valueString="fast"),
        _observation("o7", "1988-5", _quantity(5, "mg/L") | {"comparator": "<"}, when),
        _observation("o8", "", _quantity(7, "mm[Hg]"), when) | {"code": _code("K1", "urn:house")},
        _observation("o9", "8867-4", _quantity(80, "/min"), when, encounter={"reference": "Encounter/e3"}),
    )  # fmt: skip
    landed = take_in(tmp_path, DAY, _config(codes={"urn:house|K1": "wedge_pressure"}))
    take_in_and_validate(tmp_path, DAY, _config(codes={"urn:house|K1": "wedge_pressure"}))
    values = {row["variable"]: row["value"] for row in admitted(tmp_path, "observations", DAY)}
    assert values["glucose"] == pytest.approx(99.0858)
    assert values["temperature"] == pytest.approx(37.0)
    assert (values["systolic_bp"], values["diastolic_bp"], values["wedge_pressure"]) == (120.0, 80.0, 7.0)
    (refused,) = quarantined(tmp_path, "observations", DAY)
    assert (refused["rule"], refused["source_row"]) == ("not_a_number", 7)
    marked = [row["variable"] for row in raw(tmp_path, "observations", DAY) if row["retracted"]]
    assert marked == ["heart_rate"]
    told = " ".join(landed.warnings)
    assert "1 observations hold no number" in told
    assert "1 numbers have a code" in told
    assert "1 numbers belong to encounters that were left out" in told


def test_an_observation_without_an_encounter_finds_its_stay_by_patient_and_time(folder, tmp_path):
    _delivery(folder)
    without = [_observation(f"o{day}", "8867-4", _quantity(80, "/min"), f"2026-03-{day}T11:00:00Z") for day in (27, 21)]
    for one in without:
        del one["encounter"]
    _write(folder, "Observation.ndjson", *without)
    landed = take_in(tmp_path, DAY, _config())
    assert [row["stay_id"] for row in raw(tmp_path, "observations", DAY)] == ["e1", None]
    assert any("1 numbers name no encounter" in warning for warning in landed.warnings)


def test_bad_lines_are_quarantined_and_broken_files_named_while_the_rest_goes_through(folder, tmp_path):
    _delivery(folder)
    good = _observation("o1", "8867-4", _quantity(80, "/min"), "2026-03-27T11:00:00Z")
    _write(folder, "Observation.1.ndjson", good, "{", '{"resourceType": "Patient", "id": "x"}',
           '{"resourceType": "Observation"}', good | {"id": "o2", "effectiveDateTime": "soon"})  # fmt: skip
    with gzip.open(folder / "Observation.2.ndjson.gz", "wt") as stream:
        for number in range(3000):
            stream.write(json.dumps(good | {"id": f"n{number * 7919}"}) + "\n")
    cut = folder / "Observation.2.ndjson.gz"
    cut.write_bytes(cut.read_bytes()[:-200])
    _write(folder, "Procedure.ndjson", {"resourceType": "Procedure", "id": "1"})
    _write(folder, "odd.ndjson", "hello")
    (folder / "manifest.json").write_text("{}")
    (folder / "Immunization.ndjson").write_text("")
    landed = take_in(tmp_path, DAY, _config())
    assert sorted(file.source_file for file in landed.unreadable) == ["Observation.2.ndjson.gz", "odd.ndjson"]
    take_in_and_validate(tmp_path, DAY, _config())
    rules = sorted((row["source_row"], row["rule"]) for row in quarantined(tmp_path, "observations", DAY)
                   if row["source_file"] == "Observation.1.ndjson")  # fmt: skip
    assert rules == [(2, "ragged_line"), (3, "ragged_line"), (4, "ragged_line"), (5, "not_a_timestamp")]
    assert admitted(tmp_path, "observations", DAY)[0]["value"] == 80.0
    told = " ".join(landed.warnings)
    assert "1 files of Procedure hold nothing that is used" in told
    assert "1 of 9 files do not match *.ndjson*" in told


def test_a_feature_that_no_resource_gives_is_refused(folder, tmp_path):
    _delivery(folder)
    config = _config().model_copy(update={"features": _config().features.model_copy(update={"numeric": ["bmi"]})})
    with pytest.raises(ConfigError, match="bmi is none that the fhir source gives; it gives age, gender"):
        take_in(tmp_path, DAY, config)


@pytest.mark.parametrize(
    ("reference", "found"),
    [("Patient/7", "7"), ("https://x.org/fhir/Patient/7/_history/2", "7"), ("urn:uuid:ab-c", "ab-c"), ("7", "7")],
)
def test_references_point_to_ids(reference, found):
    assert reference_id({"subject": {"reference": reference}}, "subject") == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(
        st.sampled_from(["code", "coding", "system", "value", "valueQuantity", "component", "period", "start", "class",
                         "location", "reference", "subject", "diagnosis", "rank", "condition", "hospitalization"]),
        children, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["code", "component", "valueQuantity", "subject", "location", "class", "period",
                                        "diagnosis", "hospitalization", "status", "gender"]), _JSON))  # fmt: skip
def test_a_resource_of_any_shape_gives_texts_or_nothing(resource):
    whole = {"id": "1", **resource}
    stay, anybody, named = encounter(whole), person(whole), disease(whole, {})
    for value in (stay.patient_id, stay.ward, stay.begin, anybody.gender, named):
        assert value is None or isinstance(value, str)
    assert all(isinstance(one.value, str) for one in measurements(whole, {}))
