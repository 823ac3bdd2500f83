"""Inputs after faults that hospitals reported, of FHIR and MEDS: each is taken in whole, and the lake is read."""

import shutil
from datetime import UTC, date, datetime

import pytest

from medlstm.ingest.delivered_files import landing_dates
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import load_config
from tests.conftest import SHARED_DATA
from tests.unit.night import admitted, quarantined, raw, take_in_and_validate

CASES = SHARED_DATA.parent / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")
DAY = date(2026, 3, 28)


@pytest.fixture
def case(tmp_path, request):
    """The workspace of a case, all its dates taken in and validated; with the warnings of the last one."""
    place = tmp_path / "workspace"
    shutil.copytree(CASES / request.param, place)
    for path in [place, *place.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    config = load_config(place)
    for day in landing_dates(Workspace(place)):
        take_in_and_validate(place, day, config)
    return place, config, " ".join(ingest_date(Workspace(place), day, config).warnings)


def _stays(place):
    return {row["stay_id"]: row for row in admitted(place, "stays", DAY)}


def _observations(place):
    return [(row["stay_id"], row["variable"], row["value"]) for row in raw(place, "observations", DAY)]


@pytest.mark.parametrize("case", ["10-fhir-partof"], indirect=True)
def test_an_encounter_within_another_is_a_place_and_no_stay(case):
    place, config, told = case
    (stay,) = admitted(place, "stays", DAY)
    assert (stay["stay_id"], stay["patient_id"], stay["ward"]) == ("e1", "p1", "ICU")
    assert load_cohort(Workspace(place), DAY, config, "open").frame["stay_id"].tolist() == ["e1"]
    assert _observations(place) == [("e1", "heart_rate", "80")] * 2
    assert "2 encounters are part of another" in told


@pytest.mark.parametrize("case", ["11-fhir-r5"], indirect=True)
def test_an_encounter_of_r5_is_a_stay(case):
    place, _, told = case
    (stay,) = admitted(place, "stays", DAY)
    assert (stay["stay_id"], stay["admitted_at"]) == ("e1", datetime(2026, 3, 27, 9, tzinfo=UTC))
    assert _observations(place) == [("e1", "heart_rate", "80")]
    assert told == ""


@pytest.mark.parametrize("case", ["12-fhir-deleted"], indirect=True)
def test_a_deleted_encounter_is_no_stay_from_that_date_on(case):
    place, config, told = case
    known = [load_cohort(Workspace(place), day, config, "open").frame for day in (date(2026, 3, 27), DAY)]
    assert [frame["stay_id"].tolist() for frame in known] == [["e1"], []]
    assert _stays(place)["e1"]["retracted"]
    assert "1 encounters are deleted" in told


@pytest.mark.parametrize("case", ["14b-fhir-references"], indirect=True)
def test_references_are_resolved_or_counted_by_their_kind(case):
    place, _, told = case
    assert [(row["stay_id"], row["patient_id"]) for row in admitted(place, "stays", DAY)] == [("e3", "p1")]
    refused = [(row["stay_id"], row["patient_id"], row["rule"]) for row in quarantined(place, "stays", DAY)]
    assert refused == [("e1", None, "patient_id_missing"), ("e2", None, "patient_id_missing")]
    # What names an encounter that cannot be told is placed by its patient and time.
    assert _observations(place) == [("e3", "heart_rate", "80")] * 3
    for kind in ("Patient by search (Type?identifier=…)", "Patient by identifier alone",
                 "Encounter by search (Type?identifier=…)", "Encounter by contained resource (#…)"):  # fmt: skip
        assert f"1 references to {kind} match no single resource" in told


@pytest.mark.parametrize("case", ["15-meds-utc"], indirect=True)
def test_a_meds_time_with_a_zone_is_that_instant(case):
    place, _, _ = case
    stays = admitted(place, "stays", DAY)
    assert {row["admitted_at"] for row in stays} == {datetime(2026, 3, 27, 10, tzinfo=UTC)}
    assert {row["patient_id"] for row in stays} == {"7", "9007199254740993"}
    observed = {row["observed_at"] for row in admitted(place, "observations", DAY)}
    assert observed == {datetime(2026, 3, 27, 11, tzinfo=UTC)}


@pytest.mark.parametrize("case", ["16-meds-same-moment"], indirect=True)
def test_at_a_transfer_the_old_stay_ends_and_the_new_one_begins(case):
    place, config, _ = case
    found = [(row["admitted_at"].day, row["discharged_at"].day) for row in admitted(place, "stays", DAY)]
    assert sorted(found) == [(20, 25), (25, 27)]
    (reading,) = admitted(place, "observations", DAY)
    assert _stays(place)[reading["stay_id"]]["admitted_at"].day == 25
    assert load_cohort(Workspace(place), DAY, config, "open").frame.empty
