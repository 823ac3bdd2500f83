import pytest

from medlstm.onboarding.column_roles import rank


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("admitted_at", "admission_datetime admit_datetime admission_dt admit_dttm admission_timestamp "
                        "AdmissionDateTime "
         "period_start period.start hospital_admit_time hosp_admsn_time ADT_ARRIVAL_TIME aufnahmedatum Aufnahme "
         "intime START "
         "date_entree opnamedatum visit_start_datetime"),
        ("discharged_at", "discharge_datetime disch_dttm DischargeDateTime period_end hospital_discharge_time "
                          "dischtime "
         "entlassungsdatum Entlassung outtime STOP DEPARTURE_TIME date_sortie ontslagdatum visit_end_datetime dis"),
        ("observed_at", "result_time result_datetime charttime taken_at SpecimenTakenTime collected_at "
                        "effectiveDateTime "
         "abnahmezeitpunkt DATE timestamp measurement_datetime observationoffset hours_since_admission time_taken"),
        ("stay_id", "encounter_id stay_id hadm_id visit EncounterID Fallnummer case_no pat_enc_csn_id "
                    "visit_occurrence_id"),
        ("patient_id", "patient_id subject_id mrn PatientID pat_mrn_id person_id Patienten-Nr patient"),
        ("value", "value valuenum VALUE result_value valueQuantity.value Messwert labresult value_as_number"),
        ("unit", "unit UNITS valueuom Einheit valueQuantity.unit"),
        ("ward", "ward department first_careunit location.ward Fachabteilung unittype"),
        ("visit_class", "ENCOUNTERCLASS enc_type patient_class visit_concept_id Fallart"),
    ],
)  # fmt: skip
def test_names_of_exports_meet_their_roles(role, names):
    assert [name for name in names.split() if rank(role, name) is None] == []


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("admitted_at", "administered_at minimum admission_type birth_date deathtime"),
        ("discharged_at", "discharge_location distance outcome"),
        ("observed_at", "hr hrs_code birth_date patient"),
        ("stay_id", "patient_id specimen_id order_id encounter_class"),
        ("ward", "admission_location forward"),
    ],
)
def test_names_of_other_things_do_not(role, names):
    assert [name for name in names.split() if rank(role, name) is not None] == []
