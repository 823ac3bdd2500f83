"""eICU-CRD 2.0 (https://eicu-crd.mit.edu/): minutes since the admission to the unit, and no calendar date."""

from datetime import date
from pathlib import Path

from tests.layouts.copies import Copies
from tests.layouts.files import write_csv

DAY = date(2026, 3, 28)
PATIENT = (
    "patientunitstayid,patienthealthsystemstayid,gender,age,ethnicity,hospitalid,wardid,apacheadmissiondx,"
    "admissionheight,hospitaladmittime24,hospitaladmitoffset,hospitaladmitsource,hospitaldischargeyear,"
    "hospitaldischargetime24,hospitaldischargeoffset,hospitaldischargelocation,hospitaldischargestatus,unittype,"
    "unitadmittime24,unitadmitsource,unitvisitnumber,unitstaytype,admissionweight,dischargeweight,unitdischargetime24,"
    "unitdischargeoffset,unitdischargelocation,unitdischargestatus,uniquepid"
)
VITAL_PERIODIC = (
    "vitalperiodicid,patientunitstayid,observationoffset,temperature,sao2,heartrate,respiration,cvp,etco2,"
    "systemicsystolic,systemicdiastolic,systemicmean,pasystolic,padiastolic,pamean,st1,st2,st3,icp"
)
VITAL_APERIODIC = (
    "vitalaperiodicid,patientunitstayid,observationoffset,noninvasivesystolic,noninvasivediastolic,noninvasivemean,paop,"
    "cardiacoutput,cardiacinput,svr,svri,pvr,pvri"
)
LAB = (
    "labid,patientunitstayid,labresultoffset,labtypeid,labname,labresult,labresulttext,labmeasurenamesystem,"
    "labmeasurenameinterface,labresultrevisedoffset"
)
IDENTIFIERS = ("patientunitstayid", "patienthealthsystemstayid", "uniquepid", "vitalperiodicid", "vitalaperiodicid",
               "labid", "apachepatientresultsid", "customlabid")  # fmt: skip
MINUTES = ("unitdischargeoffset",)

# stay: patient, admission, discharge, died, age, gender, ward, disease; each ended as the folder's date began
STAYS = {
    "141168": ("002-34851", "2026-03-25T12:00", "2026-03-28T00:00", True, 70.0, "female", "Med-Surg ICU",
               "Rhythm disturbance (atrial, supraventricular)"),
    "141178": ("002-1039", "2026-03-27T23:52", "2026-03-28T00:00", False, 90.0, "male", "CTICU", None),
}  # fmt: skip
OBSERVATIONS = {
    ("141168", "2026-03-25T12:05", "heart_rate"): 88.0,
    ("141168", "2026-03-25T12:05", "temperature"): 36.7,
    ("141168", "2026-03-25T12:05", "oxygen_saturation"): 97.0,
    ("141168", "2026-03-25T12:10", "mean_bp"): 71.0,
    ("141168", "2026-03-25T12:15", "systolic_bp"): 110.0,
    ("141168", "2026-03-25T12:15", "diastolic_bp"): 60.0,
    ("141168", "2026-03-25T11:00", "creatinine"): 2.3,
    ("141168", "2026-03-25T13:00", "c_reactive_protein"): 45.0,
    ("141168", "2026-03-25T13:00", "calcium_ionized"): 1.1228085,
    ("141178", "2026-03-27T23:57", "platelets"): 210.0,
}


def write(folder: Path, number: int = 1) -> None:
    """The release's files in a landing folder, each row `number` times, of stays that last days longer; two other files
    of it too, which nothing reads."""
    copies = Copies(number, IDENTIFIERS, minutes=MINUTES)
    write_csv(
        folder / "patient.csv.gz", PATIENT,
        {"patientunitstayid": 141168, "patienthealthsystemstayid": 128919, "gender": "Female", "age": 70,
         "ethnicity": "Caucasian", "hospitalid": 59, "wardid": 91, "unittype": "Med-Surg ICU",
         "apacheadmissiondx": '"Rhythm disturbance (atrial, supraventricular)"', "admissionheight": 152.4,
         "hospitaladmitoffset": 0, "hospitaldischargeyear": 2015, "unitadmittime24": "15:54:00",
         "unitdischargeoffset": 3600, "unitdischargestatus": "Expired", "uniquepid": "002-34851"},
        {"patientunitstayid": 141178, "patienthealthsystemstayid": 128927, "gender": "Male", "age": "> 89",
         "hospitalid": 60, "wardid": 83, "unittype": "CTICU", "hospitaladmitoffset": -14,
         "hospitaldischargeyear": 2015, "unitdischargeoffset": 8, "unitdischargestatus": "Alive",
         "uniquepid": "002-1039"},
        copies=copies,
    )  # fmt: skip
    write_csv(
        folder / "vitalPeriodic.csv.gz", VITAL_PERIODIC,
        {"vitalperiodicid": 1, "patientunitstayid": 141168, "observationoffset": 5, "temperature": 36.7, "sao2": 97,
         "heartrate": 88},
        {"vitalperiodicid": 2, "patientunitstayid": 141168, "observationoffset": 10, "systemicmean": 71, "cvp": 9},
        copies=copies,
    )  # fmt: skip
    write_csv(
        folder / "vitalAperiodic.csv.gz", VITAL_APERIODIC,
        {"vitalaperiodicid": 3, "patientunitstayid": 141168, "observationoffset": 15, "noninvasivesystolic": 110,
         "noninvasivediastolic": 60},
        copies=copies,
    )  # fmt: skip
    write_csv(folder / "apachePatientResult.csv.gz", "apachepatientresultsid,patientunitstayid,apachescore",
              {"apachepatientresultsid": 1, "patientunitstayid": 141168, "apachescore": 59}, copies=copies)  # fmt: skip
    write_csv(folder / "customLab.csv.gz", "customlabid,patientunitstayid,labotheroffset,labothername,labotherresult",
              {"customlabid": 1, "patientunitstayid": 141168}, copies=copies)  # fmt: skip

    def row(number: int, stay: int, at: int, name: str, value: object, unit: str) -> dict[str, object]:
        return {"labid": number, "patientunitstayid": stay, "labresultoffset": at, "labtypeid": 1, "labname": name,
                "labresult": value, "labresulttext": value, "labmeasurenamesystem": unit,
                "labmeasurenameinterface": unit, "labresultrevisedoffset": at}  # fmt: skip

    write_csv(
        folder / "lab.csv.gz", LAB,
        row(1, 141168, -60, "creatinine", "2.3000", "mg/dL"),
        row(2, 141168, 60, "CRP", "4.5000", "mg/dL"),
        row(3, 141168, 60, "ionized calcium", "4.5000", "mg/dL"),
        row(4, 141178, 5, "platelets x 1000", "210.0000", "K/mcL"),
        row(5, 141178, 5, "MCV", "90.0000", "fL"),
        row(6, 141178, 5, "troponin - I", "", "ng/mL") | {"labresulttext": "<0.02"},
        copies=copies,
    )  # fmt: skip
