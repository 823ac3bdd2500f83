"""Words of files that are known by fixed lists, the only texts of cells that a proposal writes: classes of
encounters, states of rows, sexes. A text that is not of the list is counted and never written."""

import pandas as pd

from medlstm.onboarding.column_kinds import filled
from medlstm.onboarding.column_roles import plain

INPATIENT = frozenset((
    "inpatient", "imp", "acute", "nonac", "inpatientencounter", "inpatientvisit", "hospitalization", "hospitalisation",
    "hospitalinpatient", "acuteinpatient", "ip", "inp", "stationaer", "stationar", "vollstationaer", "stationaerefall",
    "klinisch", "hospitalise", "hospitalizacion", "ricovero", "inlagd", "slutenvaard", "innlagt", "indlagt", "i",
    "9201", "262", "8717", "32037", "emergencyroomandinpatientvisit", "intensivecare", "eminpatient",
    "nonacuteinpatient", "inpatientacute", "inpatientnonacute", "overnight",
))  # fmt: skip
OUTPATIENT = frozenset((
    "outpatient", "ambulatory", "amb", "emergency", "emer", "er", "ed", "ae", "urgentcare", "wellness", "virtual", "vr",
    "home", "homehealth", "hh", "field", "fld", "telehealth", "telephone", "officevisit", "office", "clinic", "snf",
    "hospice", "ambulant", "ambulantefall", "notfall", "op", "o", "e", "outpatientvisit", "emergencyroomvisit",
    "daycase", "ss", "shortstay", "obsenc", "observation", "preadmission", "prenc", "p", "r", "teilstationaer",
    "vorstationaer", "nachstationaer", "poliklinisch", "externe", "consultation", "9202", "9203", "5083", "581477",
    "emergencydepartment", "emergencyencounter", "outpatientencounter", "ambulatoryencounter", "dayhospital",
    "tagesklinik", "laboratory",
))  # fmt: skip
RETRACTED = frozenset(("enteredinerror", "deleted", "retracted", "storniert", "voided", "wrong"))
NOT_HAPPENED = frozenset(("cancelled", "canceled", "planned", "noshow", "booked", "scheduled", "abgesagt", "geplant"))
STATES = RETRACTED | NOT_HAPPENED | frozenset((
    "final", "finished", "preliminary", "corrected", "amended", "registered", "inprogress", "arrived", "completed",
    "active", "discharged", "completedverified", "onhold", "unknown", "partial", "abgeschlossen", "endgueltig",
))  # fmt: skip
FEMALE = frozenset(("f", "female", "w", "weiblich", "frau", "femme", "femenino", "vrouw", "kvinde", "kvinna", "8532"))
MALE = frozenset(("m", "male", "maennlich", "mann", "homme", "masculino", "man", "mand", "maschio", "8507"))


def words_of(texts: pd.Series, known: frozenset[str]) -> list[str]:
    """The spellings in the column of words of a list, the most frequent first."""
    counted = filled(texts).value_counts()
    return [str(one) for one in counted.index if plain(str(one)) in known]


def share_of(texts: pd.Series, known: frozenset[str]) -> float:
    """The share of the filled rows whose text is a word of a list."""
    said = filled(texts)
    return float(said.isin(words_of(texts, known)).mean()) if len(said) else 0.0
