"""MIMIC-IV 3.1: the folders hosp/ and icu/ (https://mimic.mit.edu/docs/iv/)."""

from datetime import date
from pathlib import Path

from tests.layouts.copies import Copies
from tests.layouts.files import write_csv

DAY = date(2215, 1, 1)
PATIENTS = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"
ADMISSIONS = (
    "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,admission_location,"
    "discharge_location,insurance,language,marital_status,race,edregtime,edouttime,hospital_expire_flag"
)
ICUSTAYS = "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los"
CHARTEVENTS = "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valuenum,valueuom,warning"
LABEVENTS = (
    "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,valueuom,"
    "ref_range_lower,ref_range_upper,flag,priority,comments"
)
D_ITEMS = "itemid,label,abbreviation,linksto,category,unitname,param_type,lownormalvalue,highnormalvalue"
D_LABITEMS = "itemid,label,fluid,category"
IDENTIFIERS = ("subject_id", "hadm_id", "stay_id", "labevent_id", "specimen_id")
TIMES = ("dod", "admittime", "dischtime", "deathtime", "intime", "outtime", "charttime", "storetime")

# stay: patient, admission, discharge, died, age, gender, ward, admission_type
STAYS = {
    "20000001": ("10000001", "2150-03-01T10:00", "2150-03-05T12:00", False, 62.0, "female",
                 "Surgical Intensive Care Unit (SICU)", "EW EMER."),
    "20000002": ("10000001", "2151-07-01T08:30", "2151-07-02T09:00", False, 63.0, "female", None, "ELECTIVE"),
    "20000003": ("10000002", "2184-12-31T23:10", "2185-01-02T04:00", True, 91.0, "male",
                 "Medical Intensive Care Unit (MICU)", "URGENT"),
}  # fmt: skip
# (stay, time, variable): value
OBSERVATIONS = {
    ("20000001", "2150-03-02T08:00", "heart_rate"): 88.0,
    ("20000001", "2150-03-02T08:00", "temperature"): 37.0,
    ("20000001", "2150-03-02T09:00", "temperature"): 36.8,
    ("20000001", "2150-03-02T08:00", "systolic_bp"): 121.0,
    ("20000001", "2150-03-02T08:00", "gcs_eye"): 4.0,
    ("20000001", "2150-03-02T08:05", "weight"): 79.83225312,
    ("20000001", "2150-03-02T08:05", "fraction_inspired_oxygen"): 40.0,
    ("20000001", "2150-03-01T09:20", "creatinine"): 1.1,
    ("20000001", "2150-03-03T06:00", "potassium"): 4.2,
    ("20000001", "2150-03-03T06:00", "inr"): 1.3,
    ("20000003", "2185-01-01T05:00", "white_cells"): 11.4,
    ("20000003", "2185-01-01T05:00", "alt"): 35.0,
}


def write(folder: Path, number: int = 1) -> None:
    """The release's files below a landing folder, each row `number` times; some other files of it too, which nothing
    reads."""
    hosp, icu = folder / "hosp", folder / "icu"
    copies = Copies(number, IDENTIFIERS, TIMES)
    write_csv(
        hosp / "patients.csv.gz", PATIENTS,
        {"subject_id": 10000001, "gender": "F", "anchor_age": 60, "anchor_year": 2148},
        {"subject_id": 10000002, "gender": "M", "anchor_age": 91, "anchor_year": 2184, "dod": "2185-01-02"},
        copies=copies,
    )  # fmt: skip
    write_csv(
        hosp / "admissions.csv.gz", ADMISSIONS,
        {"subject_id": 10000001, "hadm_id": 20000001, "admittime": "2150-03-01 10:00:00",
         "dischtime": "2150-03-05 12:00:00", "admission_type": "EW EMER.", "hospital_expire_flag": 0, "race": "WHITE"},
        {"subject_id": 10000001, "hadm_id": 20000002, "admittime": "2151-07-01 08:30:00",
         "dischtime": "2151-07-02 09:00:00", "admission_type": "ELECTIVE", "hospital_expire_flag": 0},
        {"subject_id": 10000002, "hadm_id": 20000003, "admittime": "2184-12-31 23:10:00",
         "dischtime": "2185-01-02 04:00:00", "deathtime": "2185-01-02 04:00:00", "admission_type": "URGENT",
         "hospital_expire_flag": 1},
        copies=copies,
    )  # fmt: skip
    write_csv(
        icu / "icustays.csv.gz", ICUSTAYS,
        {"subject_id": 10000001, "hadm_id": 20000001, "stay_id": 30000002, "los": 1.0,
         "first_careunit": "Medical Intensive Care Unit (MICU)", "last_careunit": "Surgical Intensive Care Unit (SICU)",
         "intime": "2150-03-03 10:00:00", "outtime": "2150-03-04 10:00:00"},
        {"subject_id": 10000001, "hadm_id": 20000001, "stay_id": 30000001, "los": 1.0,
         "first_careunit": "Coronary Care Unit (CCU)", "last_careunit": "Coronary Care Unit (CCU)",
         "intime": "2150-03-01 12:00:00", "outtime": "2150-03-02 12:00:00"},
        {"subject_id": 10000002, "hadm_id": 20000003, "stay_id": 30000003, "los": 1.0,
         "first_careunit": "Medical Intensive Care Unit (MICU)", "last_careunit": "Medical Intensive Care Unit (MICU)",
         "intime": "2185-01-01 00:10:00", "outtime": "2185-01-02 04:00:00"},
        copies=copies,
    )  # fmt: skip
    write_csv(
        icu / "d_items.csv.gz", D_ITEMS,
        {"itemid": 220045, "label": "Heart Rate", "abbreviation": "HR", "linksto": "chartevents", "unitname": "bpm"},
    )  # fmt: skip
    write_csv(hosp / "d_labitems.csv.gz", D_LABITEMS, {"itemid": 50912, "label": "Creatinine", "fluid": "Blood"})
    _write_chartevents(icu / "chartevents.csv.gz", copies)
    _write_labevents(hosp / "labevents.csv.gz", copies)


def _write_chartevents(path: Path, copies: Copies) -> None:
    shared = {"subject_id": 10000001, "hadm_id": 20000001, "stay_id": 30000001, "charttime": "2150-03-02 08:00:00"}

    def row(item: int, number: object, unit: str, **more: object) -> dict[str, object]:
        return shared | {"itemid": item, "value": number, "valuenum": number, "valueuom": unit, "warning": 0} | more

    write_csv(
        path, CHARTEVENTS,
        row(220045, 88, "bpm"),
        row(223761, 98.6, "°F"),
        row(223762, 36.8, "°C", charttime="2150-03-02 09:00:00"),
        row(220179, 121, "mmHg"),
        row(220739, 4, "", value="Spontaneously"),
        row(226531, 176, "lbs", charttime="2150-03-02 08:05:00"),
        row(223835, 40, "", charttime="2150-03-02 08:05:00"),
        row(220048, "", "", value="SR (Sinus Rhythm)"),
        row(220045, "", "bpm", value="off"),
        row(227442, 4.1, "mEq/L"),
        copies=copies,
    )  # fmt: skip


def _write_labevents(path: Path, copies: Copies) -> None:
    def row(number: int, patient: int, item: int, at: str, value: object, unit: str, stay: object = "") -> dict:
        return {"labevent_id": number, "subject_id": patient, "hadm_id": stay, "specimen_id": number, "itemid": item,
                "charttime": at, "storetime": at, "value": value, "valuenum": value, "valueuom": unit,
                "priority": "ROUTINE"}  # fmt: skip

    write_csv(
        path, LABEVENTS,
        row(1, 10000001, 50912, "2150-03-01 09:20:00", 1.1, "mg/dL", 20000001),
        row(2, 10000001, 50971, "2150-03-03 06:00:00", 4.2, "mEq/L", 20000001),
        row(3, 10000001, 51237, "2150-03-03 06:00:00", 1.3, "", 20000001),
        row(4, 10000002, 51301, "2185-01-01 05:00:00", 11.4, "K/uL"),
        row(5, 10000002, 50861, "2185-01-01 05:00:00", 35, "IU/L"),
        row(6, 10000001, 50912, "2150-08-01 09:00:00", 0.9, "mg/dL"),
        row(7, 10000001, 50912, "2150-03-04 09:00:00", "", "mg/dL", 20000001) | {"value": "___"},
        row(8, 10000001, 50920, "2150-03-04 09:00:00", 60, "", 20000001),
        copies=copies,
    )  # fmt: skip
