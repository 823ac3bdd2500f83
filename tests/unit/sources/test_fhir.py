import gzip
import json
import tomllib
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlstm.errors import ConfigError
from medlstm.ingest.landing_to_raw import ingest_planned, plan_dates
from medlstm.lake.files import Workspace
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import parse_config
from medlstm.sources.fhir_measurements import measurements
from medlstm.sources.fhir_references import reference
from medlstm.sources.fhir_resources import condition, disease, encounter, person
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
    assert not landed.warnings
    assert landed.left_out == {
        "encounters are of a class that encounter_classes does not name and were left out": 1,
        "encounters are planned or cancelled and were left out": 1,
    }


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
    assert "1 numbers have a code" in told
    assert landed.left_out["observations hold no number and were left out"] == 1
    assert landed.left_out["numbers belong to encounters that were left out"] == 1


def test_an_observation_without_an_encounter_finds_its_stay_by_patient_and_time(folder, tmp_path):
    _delivery(folder)
    without = [_observation(f"o{day}", "8867-4", _quantity(80, "/min"), f"2026-03-{day}T11:00:00Z") for day in (27, 21)]
    for one in without:
        del one["encounter"]
    _write(folder, "Observation.ndjson", *without)
    landed = take_in(tmp_path, DAY, _config())
    assert [row["stay_id"] for row in raw(tmp_path, "observations", DAY)] == ["e1"]
    assert landed.left_out == {
        "encounters are of a class that encounter_classes does not name and were left out": 1,
        "encounters are planned or cancelled and were left out": 1,
        "numbers name no encounter, and lie in no stay of their patient; they were left out": 1,
    }


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
    ("named", "found"),
    [("Patient/7", "7"), ("https://x.org/fhir/Patient/7/_history/2", "7"), ("urn:uuid:ab-c", "ab-c"), ("7", "7"),
     ("Patient/7/", "7"), ("/Patient/7", "7"), ("Patient/7/_history/2", "7"), ("https://x.org/Patient/7/", "7"),
     ("Patient?_id=7", "7"), ("Patient/_history", "_history"), ("#7", None), ("Patient?identifier=a|7", None),
     ("Patient?name=7", None), ("/", None), ("https://x.org/fhir/Patient?identifier=7", None)],
)  # fmt: skip
def test_references_point_to_ids(named, found):
    assert reference({"subject": {"reference": named}}, "subject").id == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(
        st.sampled_from(["code", "coding", "system", "value", "valueQuantity", "component", "period", "start", "class",
                         "location", "reference", "subject", "diagnosis", "rank", "condition", "hospitalization",
                         "identifier", "contained", "concept"]),
        children, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["code", "component", "valueQuantity", "subject", "location", "class", "period",
                                        "diagnosis", "hospitalization", "status", "gender"]), _JSON))  # fmt: skip
def test_a_resource_of_any_shape_gives_texts_or_nothing(resource):
    whole = {"id": "1", **resource}
    stay, anybody, named = encounter(whole), person(whole), disease(condition(whole), {})
    for value in (stay.patient and stay.patient.id, stay.ward, stay.begin, anybody.gender, named):
        assert value is None or isinstance(value, str)
    assert all(isinstance(one.value, str) for one in measurements(whole, {}))


NEXT = date(2026, 3, 29)


def _land(tmp_path, day, **files):
    """Write files of resources, `Encounter=[…]`, as the delivery of a date."""
    place = tmp_path / "landing" / day.isoformat()
    place.mkdir(parents=True, exist_ok=True)
    for name, resources in files.items():
        _write(place, f"{name}.ndjson", *resources)


def _part(key, parent, start, end=None, ward=None, **more):
    place = {"location": [{"location": {"display": ward}}]} if ward else {}
    return _encounter(key, "p1", start, end, partOf={"reference": f"Encounter/{parent}"}, **place, **more)


def _beat(key, encounter, when="2026-03-27T11:00:00Z", **more):
    named = {"encounter": {"reference": encounter}} if isinstance(encounter, str) else {"encounter": encounter}
    return _observation(key, "8867-4", _quantity(80, "/min"), when, **named, **more)


def _stays(tmp_path, day, *columns):
    rows = raw(tmp_path, "stays", day)
    return {row["stay_id"]: tuple(row[name] for name in columns) for row in rows}


def _of(tmp_path, day):
    return [row["stay_id"] for row in raw(tmp_path, "observations", day)]


def _bundle(*entries, kind="transaction"):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _deleted(url):
    return {"request": {"method": "DELETE", "url": url}}


BEGIN, LATER, MUCH_LATER = "2026-03-27T10:00:00Z", "2026-03-27T12:00:00Z", "2026-03-27T16:00:00Z"


@pytest.mark.parametrize(
    ("parts", "ward"),
    [
        ([_part("e2", "e1", BEGIN, ward="surgery"), _part("e3", "e2", BEGIN, ward="bed 7")], "bed 7"),
        ([_part("e3", "e2", BEGIN, ward="bed 7"), _part("e2", "e1", BEGIN, ward="surgery")], "bed 7"),
        # Moved on: the newest, not the deepest.
        ([_part("e2", "e1", BEGIN, ward="surgery"), _part("e3", "e2", BEGIN, ward="bed 7"),
          _part("e4", "e1", LATER, ward="ICU")], "ICU"),
        # In between in a theatre, and back.
        ([_part("e2", "e1", BEGIN, ward="surgery"), _part("e3", "e1", LATER, MUCH_LATER, ward="theatre")], "surgery"),
        ([_part("e2", "e1", BEGIN, ward="surgery"), _part("e3", "e2", LATER, ward="ICU", status="cancelled"),
          _part("e4", "e2", LATER, ward="ICU", status="planned"),
          _part("e5", "e2", LATER, ward="ICU", status="entered-in-error")], "surgery"),
        ([_part("e2", "e1", BEGIN), _part("e3", "e2", BEGIN)], "house"),
        ([_part("e2", "e1", BEGIN, ward="ambulance", code="EMER")], "ambulance"),
    ],
)  # fmt: skip
def test_parts_of_an_encounter_say_where_its_patient_is(folder, tmp_path, parts, ward):
    house = [{"location": {"display": "house"}}]
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[*parts, _encounter("e1", "p1", BEGIN, location=house)],
          Observation=[_beat(f"o{place}", f"Encounter/{one['id']}") for place, one in enumerate(parts)
                       if one["status"] in ("in-progress", "finished")])  # fmt: skip
    take_in(tmp_path, DAY, _config())
    stood = {key: found for key, found in _stays(tmp_path, DAY, "ward", "retracted").items() if found[1] is None}
    assert stood == {"e1": (ward, None)}
    assert set(_of(tmp_path, DAY)) == {"e1"}


def test_a_chain_over_deliveries_is_one_stay(folder, tmp_path):
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[_encounter("e1", "p1", BEGIN)],
          Condition=[{"resourceType": "Condition", "id": "c1", "code": _code("I50.1"),
                      "encounter": {"reference": "Encounter/e1"}}])  # fmt: skip
    _land(tmp_path, NEXT, Encounter=[_part("e2", "e1", BEGIN, ward="surgery")],
          Observation=[_beat("o1", "Encounter/e2")])  # fmt: skip
    third, fourth = date(2026, 3, 30), date(2026, 3, 31)
    nameless = _beat("o3", None)
    del nameless["encounter"]
    _land(tmp_path, third, Encounter=[_part("e3", "e2", LATER, ward="ICU")],
          Observation=[_beat("o2", "Encounter/e3"), nameless])  # fmt: skip
    _land(tmp_path, fourth, Encounter=[_encounter("e1", "p1", BEGIN, "2026-03-31T08:00:00Z")],
          Observation=[_beat("o4", "Encounter/e3")])  # fmt: skip
    for day in (DAY, NEXT, third, fourth):
        take_in(tmp_path, day, _config(conditions={"I50*": "heart failure"}))
    facts = ("admitted_at", "discharged_at", "age", "disease", "ward")
    assert _stays(tmp_path, DAY, *facts) == {"e1": (BEGIN, None, "65", "heart failure", None)}
    assert _stays(tmp_path, NEXT, *facts) == {"e1": (BEGIN, None, "65", "heart failure", "surgery")}
    assert _stays(tmp_path, third, *facts) == {"e1": (BEGIN, None, "65", "heart failure", "ICU")}
    ended = {"e1": (BEGIN, "2026-03-31T08:00:00Z", "65", "heart failure", "ICU")}
    assert _stays(tmp_path, fourth, *facts) == ended
    assert [_of(tmp_path, day) for day in (NEXT, third, fourth)] == [["e1"], ["e1", "e1"], ["e1"]]
    # A past night run again knows no more than it did.
    take_in(tmp_path, NEXT, _config(conditions={"I50*": "heart failure"}))
    assert _stays(tmp_path, NEXT, *facts) == {"e1": (BEGIN, None, "65", "heart failure", "surgery")}


def test_dates_taken_in_side_by_side_know_the_dates_before_them(folder, tmp_path):
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[_encounter("e1", "p1", BEGIN)])
    _land(tmp_path, NEXT, Encounter=[_part("e2", "e1", BEGIN, ward="surgery")])
    place = Workspace(tmp_path)
    plans = plan_dates(place, [DAY, NEXT], _config())
    for one in reversed(plans):
        ingest_planned(place, one, _config())
    assert _stays(tmp_path, NEXT, "age", "ward") == {"e1": ("65", "surgery")}


def test_a_part_that_comes_before_its_whole_stands_in_for_it(folder, tmp_path):
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[_part("e3", "e2", LATER, ward="ICU")],
          Observation=[_beat("o1", "Encounter/e3")])  # fmt: skip
    _land(tmp_path, NEXT, Encounter=[_part("e2", "e1", BEGIN), _encounter("e1", "p1", BEGIN)],
          Observation=[_beat("o2", "Encounter/e3")])  # fmt: skip
    first = take_in(tmp_path, DAY, _config())
    assert _stays(tmp_path, DAY, "admitted_at", "ward") == {"e2": (LATER, "ICU")}
    assert any("1 encounters are part of one that was not delivered" in one for one in first.warnings)
    take_in(tmp_path, NEXT, _config())
    assert _stays(tmp_path, NEXT, "admitted_at", "ward", "retracted") == {
        "e1": (BEGIN, "ICU", None), "e2": (LATER, "ICU", "true"),
    }  # fmt: skip
    assert _of(tmp_path, NEXT) == ["e1"]


def test_an_encounter_within_itself_is_a_stay_and_counted(folder, tmp_path):
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[_part("e1", "e1", BEGIN), _part("e2", "e3", BEGIN),
                                                              _part("e3", "e2", BEGIN)])  # fmt: skip
    landed = take_in(tmp_path, DAY, _config())
    assert len(_stays(tmp_path, DAY, "ward")) == 2
    assert any("2 encounters are part of themselves" in one for one in landed.warnings)


@pytest.mark.parametrize(
    "update",
    [
        {"Encounter": [_encounter("e1", "p1", BEGIN, status="entered-in-error")]},
        {"Encounter": [_encounter("e1", "p1", BEGIN, status="cancelled")]},
        {"Encounter": [_encounter("e1", "p1", BEGIN, status="planned")]},
        {"Encounter": [_encounter("e1", "p1", BEGIN, code="AMB")]},
        {"Encounter": [_encounter("e1", "p1", BEGIN, partOf={"reference": "Encounter/e0"}),
                       _encounter("e0", "p1", BEGIN)]},
        {"Bundle": [_bundle(_deleted("Encounter/e1"))]},
        {"Bundle": [_bundle(_deleted("https://h.example/fhir/Encounter/e1/_history/4"))]},
        {"Bundle": [_bundle(_deleted("Encounter?identifier=urn:v|1"))]},
        {"Bundle": [_bundle({"request": {"method": "delete", "url": "Encounter/e1"}}, kind="batch")]},
        # A history has the newest first.
        {"Bundle": [_bundle(_deleted("Encounter/e1"), {"resource": _encounter("e1", "p1", BEGIN)}, kind="history")]},
    ],
)  # fmt: skip
def test_a_stay_that_is_none_any_more_is_taken_back_from_that_date_on(folder, tmp_path, update):
    known = _encounter("e1", "p1", BEGIN, identifier=[{"system": "urn:v", "value": "1"}])
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[known])
    _land(tmp_path, NEXT, **update)
    for day in (DAY, NEXT):
        take_in(tmp_path, day, _config())
    assert _stays(tmp_path, DAY, "retracted") == {"e1": (None,)}
    assert _stays(tmp_path, NEXT, "retracted")["e1"] == ("true",)


def test_a_delivery_that_never_heard_of_what_it_deletes_takes_it_back_all_the_same(folder, tmp_path):
    _land(tmp_path, DAY, Bundle=[_bundle(_deleted("Encounter/e9"), _deleted("Observation/o9"), _deleted("Patient/p9"),
                                         _deleted("Encounter?identifier=9"))])  # fmt: skip
    landed = take_in(tmp_path, DAY, _config())
    take_in_and_validate(tmp_path, DAY, _config())
    assert [(row["stay_id"], row["retracted"]) for row in admitted(tmp_path, "stays", DAY)] == [("e9", True)]
    assert load_cohort(Workspace(tmp_path), DAY, _config()).frame.empty
    told = " ".join(landed.warnings)
    assert "1 patients are deleted" in told
    assert "1 observations are deleted by their id alone" in told
    assert "1 references to Encounter by search" in told


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_result_that_is_called_off_is_taken_back_without_its_value(folder, tmp_path, status):
    _delivery(folder)
    off = _beat("o1", "Encounter/e1", status=status)
    del off["valueQuantity"]
    _write(folder, "Observation.ndjson", off, _beat("o2", "Encounter/e1", status="registered"))
    take_in_and_validate(tmp_path, DAY, _config())
    (row,) = admitted(tmp_path, "observations", DAY)
    assert (row["stay_id"], row["variable"], row["retracted"]) == ("e1", "heart_rate", True)


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ({"class": [_code("AMB", ACT), _code("IMP", ACT)]}, "IMP"),
        ({"class": [{"coding": [{"code": "x"}, {"code": "ACUTE"}]}]}, "ACUTE"),
        ({"class": _code("IMP", ACT)}, "IMP"),
        ({"class": [{"code": "IMP"}]}, "IMP"),
    ],
)
def test_the_shapes_of_r5_are_read(folder, tmp_path, shape, read):
    new = _encounter("e1", "p1", BEGIN, status="completed") | shape | {
        "actualPeriod": {"start": BEGIN, "end": LATER},
        "admission": {"admitSource": _code("emd"), "dischargeDisposition": _code("exp")},
        "diagnosis": [{"condition": [{"concept": {"text": "pain"}}, {"reference": {"reference": "Condition/c2"}}]}],
        "location": [{"location": {"display": "ICU"}}, {"location": {"display": "next"}, "status": "reserved"}],
    }  # fmt: skip
    del new["period"]
    conditions = [{"resourceType": "Condition", "id": key, "code": {"text": key},
                   "encounter": {"reference": "Encounter/e1"}} for key in ("c1", "c2")]  # fmt: skip
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[new], Condition=conditions)
    features = {"categorical": ["encounter_class", "admit_source", "disease", "ward"], "numeric": []}
    config = parse_config({"source": {"format": "fhir"}, "features": features}, {}, "test")
    take_in(tmp_path, DAY, config)
    (row,) = raw(tmp_path, "stays", DAY)
    assert (row["admitted_at"], row["discharged_at"], row["died"]) == (BEGIN, LATER, "true")
    assert [row[name] for name in features["categorical"]] == [read, "emd", "c2", "ICU"]


def test_a_stay_that_is_over_without_an_end_ends_when_it_was_updated(folder, tmp_path):
    over = _encounter("e1", "p1", BEGIN, status="finished", meta={"lastUpdated": LATER})
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[over, _encounter("e2", "p1", BEGIN, status="finished")])
    landed = take_in(tmp_path, DAY, _config())
    assert _stays(tmp_path, DAY, "discharged_at") == {"e1": (LATER,), "e2": (None,)}
    told = " ".join(landed.warnings)
    assert "1 encounters are over and do not say when; when they were last updated counts" in told
    assert "1 encounters are over and do not say when; they stay open" in told


def test_a_death_that_is_told_after_the_discharge_reaches_the_stay(folder, tmp_path):
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[_encounter("e1", "p1", BEGIN, LATER)])
    _land(tmp_path, NEXT, Patient=[_patient("p1", deceasedDateTime=LATER)])
    for day in (DAY, NEXT):
        take_in(tmp_path, day, _config())
    assert (_stays(tmp_path, DAY, "died"), _stays(tmp_path, NEXT, "died")) == ({"e1": ("false",)}, {"e1": ("true",)})


@pytest.mark.parametrize(
    "named",
    [
        {"reference": "Encounter/e1/"}, {"reference": "https://h.example/fhir/Encounter/e1/_history/2"},
        {"reference": "Encounter?identifier=urn:v|7"}, {"reference": "Encounter?identifier=urn%3Av%7C7"},
        {"reference": "https://h.example/fhir/Encounter?identifier=7"}, {"reference": "Encounter?_id=e1"},
        {"identifier": {"system": "urn:v", "value": "7"}}, {"identifier": {"value": "7"}, "type": "Encounter"},
        {"reference": "#v", "identifier": {"value": "7"}}, {"reference": "#v"},
    ],
)  # fmt: skip
def test_references_are_resolved_where_the_deliveries_allow(folder, tmp_path, named):
    known = _encounter("e1", "p1", BEGIN, identifier=[{"system": "urn:v", "value": "7"}])
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[known])
    contained = [{"resourceType": "Encounter", "id": "v", "identifier": [{"system": "urn:v", "value": "7"}]}]
    _land(tmp_path, NEXT, Observation=[_beat("o1", named, contained=contained, subject={})])
    take_in(tmp_path, DAY, _config())
    landed = take_in(tmp_path, NEXT, _config())
    assert _of(tmp_path, NEXT) == ["e1"]
    assert landed.warnings == ()


@pytest.mark.parametrize(
    ("named", "kind"),
    [({"reference": "Encounter?identifier=8"}, "Encounter by search (Type?identifier=…) match"),
     ({"reference": "Encounter?status=in-progress"}, "Encounter by search (Type?identifier=…) match"),
     ({"reference": "#v"}, "Encounter by contained resource (#…) match"),
     ({"identifier": {"value": "two"}}, "Encounter by identifier alone match"),
     ({"reference": "EpisodeOfCare/e1"}, "references are to EpisodeOfCare where Encounter is wanted")],
)  # fmt: skip
def test_references_that_cannot_be_told_are_counted_and_never_an_identifier(folder, tmp_path, named, kind):
    twins = [_encounter(key, "p1", BEGIN, identifier=[{"value": "two"}]) for key in ("e1", "e2")]
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=twins, Observation=[_beat("o1", named, subject={})])
    landed = take_in(tmp_path, DAY, _config())
    assert _of(tmp_path, DAY) == [None]
    assert any(kind in one for one in landed.warnings)


def test_what_came_late_for_a_closed_date_is_older_than_the_delivery_that_takes_it_in(folder, tmp_path):
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=[_encounter("e1", "p1", BEGIN)])
    take_in(tmp_path, DAY, _config())
    _land(tmp_path, DAY, Late=[_part("e2", "e1", BEGIN, ward="surgery"), _part("e3", "e1", LATER, ward="theatre")])
    _land(tmp_path, NEXT, Encounter=[_part("e3", "e1", LATER, MUCH_LATER, ward="theatre")])
    take_in(tmp_path, NEXT, _config())
    assert set(_stays(tmp_path, NEXT, "ward").items()) == {("e1", ("surgery",))}


def test_bundles_are_read_and_their_urns_are_references(folder, tmp_path):
    urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    stay = _encounter("e1", "p1", BEGIN, subject={"reference": urn})
    nameless = _beat("o2", "urn:uuid:11111111-1cbf-4d64-b04d-cd9187a4c6e0")
    del nameless["id"]
    everything = _bundle(
        {"fullUrl": urn, "resource": _patient("p1")},
        {"fullUrl": "urn:uuid:11111111-1cbf-4d64-b04d-cd9187a4c6e0", "resource": stay},
        {"fullUrl": "urn:uuid:22222222-1cbf-4d64-b04d-cd9187a4c6e0", "resource": nameless},
        {"resource": {"resourceType": "Claim", "id": "1"}}, {"resource": {"resourceType": "Observation"}},
    )  # fmt: skip
    nested = _bundle({"resource": everything}, kind="collection")
    _land(tmp_path, DAY, all=[everything, "{", nested])
    landed = take_in(tmp_path, DAY, _config())
    assert _stays(tmp_path, DAY, "patient_id", "age") == {"e1": ("p1", "65"), None: (None, None)}
    assert _of(tmp_path, DAY).count("e1") == 2
    assert sum(row["unparsed_line"] is not None for row in raw(tmp_path, "observations", DAY)) == 2
    assert sum(row["unparsed_line"] is not None for row in raw(tmp_path, "stays", DAY)) == 1
    assert any("2 resources in Bundles are of Claim" in one for one in landed.warnings)
    assert landed.files_read == 1


def test_several_versions_in_one_delivery_are_counted_and_the_last_one_counts(folder, tmp_path):
    versions = [_encounter("e1", "p1", BEGIN), _encounter("e1", "p1", BEGIN), _encounter("e1", "p1", LATER)]
    _land(tmp_path, DAY, Patient=[_patient("p1")], Encounter=versions)
    landed = take_in(tmp_path, DAY, _config())
    assert [(row["admitted_at"], row["source_row"]) for row in raw(tmp_path, "stays", DAY)] == [(LATER, 3)]
    assert any("1 encounters came in several versions" in one for one in landed.warnings)


def test_codes_that_nobody_named_are_listed_with_a_line_to_paste(folder, tmp_path):
    _delivery(folder)
    rare = _code("K 1", "urn:house")
    rare["coding"][0]["display"] = 'Wedge "pressure" (PCWP)'
    found = [_observation(f"o{place}", "99999-9", _quantity(place, "1"), BEGIN) for place in range(3)]
    found += [_observation("o8", "", _quantity(7, "mm[Hg]"), BEGIN) | {"code": rare}]
    _write(folder, "Observation.ndjson", *found)
    told = next(one for one in take_in(tmp_path, DAY, _config()).warnings if "numbers have a code" in one)
    assert "4 numbers have a code that neither medlstm nor codes names, and were left out: 3 of 99999-9, 1 of" in told
    line = told[told.index("codes = {"):]
    named = tomllib.loads(line)["codes"]
    assert named == {"99999-9": "code_99999_9", "urn:house|K 1": "wedge_pressure_pcwp"}
    assert not any("numbers have a code" in one for one in take_in(tmp_path, DAY, _config(codes=named)).warnings)
    assert len(raw(tmp_path, "observations", DAY)) == 4


def test_one_document_over_many_lines_reads_as_its_bundle_on_a_line_does(folder, tmp_path):
    nameless = {name: value for name, value in _encounter("", "p1", BEGIN).items() if name != "id"}
    found = [{"fullUrl": "urn:uuid:o1", "resource": _beat("o1", "urn:uuid:e1")},
             {"fullUrl": "urn:uuid:e1", "resource": nameless},
             {"fullUrl": "urn:uuid:p1", "resource": _patient("p1")}]  # fmt: skip
    document = json.dumps(_bundle(*found), indent=1)
    (folder / "person.json").write_text("\ufeff" + document, encoding="utf-8")
    with gzip.open(folder / "single.json.gz", "wt") as stream:
        stream.write(json.dumps(_patient("p2"), indent=1))
    (folder / "lines.json").write_text(f"{json.dumps(_encounter('e2', 'p2', BEGIN))}\n")
    (folder / "cut.json").write_text(document[:-40])
    config = _config(files="*json*")
    landed = take_in(tmp_path, DAY, config)
    assert landed.files_read == 3
    assert [file.source_file for file in landed.unreadable] == ["cut.json"]
    assert _stays(tmp_path, DAY, "patient_id", "age") == {"e1": ("p1", "65"), "e2": ("p2", "65")}
    assert _of(tmp_path, DAY) == ["e1"]


def test_a_death_that_is_told_by_its_date_may_be_of_the_day_of_the_admission(folder, tmp_path):
    people = [_patient("p1", deceasedDateTime="2026-03-27"), _patient("p2", deceasedDateTime="2026")]
    stays = [_encounter(key, patient, BEGIN, MUCH_LATER) for key, patient in (("e1", "p1"), ("e2", "p2"))]
    _land(tmp_path, DAY, Patient=people, Encounter=stays)
    take_in(tmp_path, DAY, _config())
    assert _stays(tmp_path, DAY, "died") == {"e1": ("true",), "e2": (None,)}
