"""Which roles a column's name allows: the words that exporters put together, in the languages that were met.

A name is compared in lower case without punctuation: AdmissionDateTime, admission_dttm and ADMIT.TIME are all an
admission with words of time behind it.
"""

import re
from collections.abc import Iterable

from medlstm.onboarding.column_kinds import Column

_WHEN = ("date|time|datetime|datetm|dt|dttm|dtm|dtime|tm|ts|tstamp|timestamp|stamp|at|on|utc|local|datum|zeit|"
         "zeitpunkt|uhrzeit|fecha|hora|data|ora|heure|tijd|tijdstip|dato|tid")  # fmt: skip
_WHOSE = ("hospital|hosp|adt|icu|inpatient|inp|ip|patient|pat|visit|visits|encounter|enc|stay|case|episode|period|unit|"
          "actual|of|the|src|source|his|ehr|ext|fall|krankenhaus|klinik|spell|contact")  # fmt: skip
_NUMBER = ("id|ids|nr|no|num|number|nummer|key|identifier|ident|csn|sk|bk|uid|guid|uuid|fk|pk|ref|reference|code|"
           "numero|nro")  # fmt: skip
_NAMED = "name|label|code|cd|id|type|desc|description|display|text|key|concept|bezeichnung|conceptid|sourcevalue"

_ADMITTED = ("admission|admsn|admissions|admit|admitted|adm|arrival|arrived|in|start|started|begin|began|beginn|von|"
             "from|aufnahme|aufgenommen|eintritt|zugang|opname|ingreso|entree|admissao|internacao|ricovero|inskrivning|"
             "indlaeggelse|innleggelse|checkin|onset")  # fmt: skip
_DISCHARGED = ("discharge|discharges|discharged|disch|dis|disc|dischg|dc|out|stop|stopped|end|ended|ende|bis|to|until|"
               "thru|departure|depart|departed|leave|left|release|released|entlassung|entlassen|entl|entlass|austritt|"
               "abgang|ontslag|alta|egreso|sortie|saida|dimissione|utskrivning|udskrivelse|utskrivelse|exit|"
               "checkout")  # fmt: skip
_TAKEN = ("observed|observation|obs|chart|charted|taken|take|sample|sampled|sampling|collected|collection|collect|"
          "specimen|drawn|draw|measured|measurement|measure|messung|mess|messzeit|abnahme|entnahme|probenentnahme|"
          "recorded|recording|record|effective|vital|vitals|event|performed|reading|prelevement|toma|meting|"
          "afname|clinical|flowsheet|monitor|note")  # fmt: skip
_REPORTED = ("result|resulted|results|lab|test|report|reported|issued|filed|file|store|stored|validated|validation|"
             "befund|ergebnis")  # fmt: skip

# Role to the patterns that a name may fit, the likelier first.
_PATTERNS: dict[str, tuple[str, ...]] = {
    "stay_id": (
        rf"(?:{_WHOSE})*(?:stay|encounter|enc|visit|visitoccurrence|hadm|icustay|patientunitstay|case|admission|adm|"
        rf"episode|spell|contact|hospitalization|account|acct|csn|fall|aufenthalt|behandlungsfall|aufnahme|opname|"
        rf"opnames|sejour|ingreso|episodio|indlaeggelse)(?:{_NUMBER})+",
        rf"(?:stay|encounter|visit|case|episode|admission|spell|csn|hadm|fall|aufenthalt|recordid|(?:{_WHOSE})*csn)",
    ),
    "patient_id": (
        rf"(?:{_WHOSE}|uniq|unique)*(?:patient|pat|subject|person|mrn|pid|member|empi|mpi|uniquepid|paciente|"
        rf"patienten|pasient|medicalrecord|healthsystemstay)(?:{_NUMBER}|mrn|health)+",
        r"(?:patient|pat|subject|person|mrn|pid|empi|mpi|pseudonym|pseudonymid|patid|patientunithealthid)",
    ),
    "admitted_at": (rf"(?:{_WHOSE}|{_WHEN})*(?:{_ADMITTED})(?:s|{_WHEN})*",),
    "discharged_at": (rf"(?:{_WHOSE}|{_WHEN})*(?:{_DISCHARGED})(?:s|{_WHEN})*",),
    "died": (
        r"(?:hospital|hosp|inhospital|icu|patient|is|has)*(?:died|expired|expireflag|death|deathflag|dead|deceased|"
        r"mortality|verstorben|exitus|tod|fallecido|decede|overleden)(?:flag|yn|ind|indicator|status|inhospital)?",
    ),
    "observed_at": (
        rf"(?:{_WHOSE})*(?:{_TAKEN})+(?:s|{_WHEN}|offset)+",
        rf"(?:{_WHEN})+(?:of)?(?:{_TAKEN})+",
        r"(?:observed|charted|taken|collected|sampled|measured|abnahme|entnahme|effective)",
        rf"(?:{_WHEN})+",
        rf"(?:{_WHOSE})*(?:{_TAKEN}|{_REPORTED})*(?:offset(?:in)?(?:min|mins|minutes|h|hrs|hours|days)?|hour|hours|"
        r"minute|minutes|minuten|stunde|stunden)",
        r"(?:hours|hrs|minutes|mins|min|days|time)(?:in|since|from|after)(?:admission|admit|adm|start|icuadmission|icu)",
        rf"(?:{_WHOSE})*(?:{_TAKEN}|{_REPORTED})+(?:s|{_WHEN}|offset|revised)+",
        rf"(?:{_WHOSE})*(?:start|begin|beginn)(?:{_WHEN})*",
    ),
    "variable": (
        rf"(?:lab|test|param|parameter|analyte|analyt|component|vital|vitals|sign|variable|feature|observation|"
        rf"measurement|measure|item|exam|untersuchung|analyse|messgroesse|loinc|concept)(?:s|{_NAMED})+",
        r"(?:variable|parameter|analyte|analyt|component|loinc|test|measurement|item|feature|untersuchung|messgroesse|"
        r"code|label|name|description|vital|vitalsign|concept|analyse|type|bezeichnung|lab|messart)",
    ),
    "value": (
        r"(?:lab|test|result|observation|measurement|obs|item|vital)*(?:value|val|wert|messwert|ergebnis|valor|waarde|"
        r"vaerdi|valeur)(?:num|numeric|number|asnumber|n|float|quantity)",
        r"numericvalue|numericresult|resultnum|resultnumeric",
        r"(?:lab|test|result|observation|measurement|obs|item|vital|num|numeric)*(?:value|val|wert|messwert|ergebnis|"
        r"valor|waarde|vaerdi|valeur|result|results|reading|quantity)",
    ),
    "unit": (
        r"(?:result|value|val|lab|test|measure|measurement|obs|observation)*(?:unit|units|uom|valueuom|einheit|einheiten|"
        r"unitofmeasure|unitsofmeasure|unite|unidad|eenheid|enhed|enhet)(?:name|code|text|sourcevalue|s)?",
    ),
    "birth_date": (
        rf"(?:patient|pat|person)*(?:birth|birthday|dob|born|geburt|geburts|gebdat|geb|naissance|nacimiento|geboorte|"
        rf"fodsels|yearofbirth|birthyear|nascita)(?:{_WHEN})*",
        rf"(?:{_WHEN}|year)+(?:of|de)?(?:birth|nacimiento|naissance)",
    ),
    "los": (
        r"(?:hospital|hosp|icu|actual)*(?:los|lengthofstay|lenofstay|verweildauer|liegedauer|staylength|duration|"
        r"ligduur|estancia)(?:in)?(?:days|hours|minutes|d|h|tage|stunden|day|hour)?",
    ),
    "gender": (r"(?:patient|pat|person)*(?:gender|sex|geschlecht|sexe|sexo|geslacht|kon|koen|kjonn)(?:code|name|cd)?",),
    "ward": (
        r"(?:current|first|last|curr|hospital|nursing|patient|assigned)*(?:ward|department|dept|"
        r"careunit|unittype|nursingunit|unit|station|abteilung|fachabteilung|afdeling|servicio|service|location|clinic|"
        r"avdeling|afdelning)(?:name|code|id|type|desc|description|label|at|kuerzel)*",
    ),
    "age": (
        r"(?:patient|pat|anchor|admission|admit)*(?:age|alter|edad|leeftijd|alder)(?:years|inyears|y|yrs|at|atadmission|"
        r"admission|admit|beiaufnahme)*",
    ),
    "visit_class": (
        r"(?:encounter|enc|visit|patient|pat|admission|admit|adm|case|fall|aufnahme)*(?:class|classcode|type|typ|kind|"
        r"art|setting|category|kategorie|klasse|conceptid|patientclass)(?:code|name|desc|cd|display)*",
    ),
    "status": (
        r"(?:encounter|visit|result|observation|record|row|obs|lab|order|test)*(?:status|state)(?:code|cd|name)?",
    ),
}  # fmt: skip
# Digits alone may be a date or a number.
COMPACT_FORMATS = (("%Y%m%d",), ("%Y%m%d%H%M",), ("%Y%m%d%H%M%S",))
_PLAIN_LETTERS = str.maketrans(dict(zip("äöüßéè", ("ae", "oe", "ue", "ss", "e", "e"), strict=True)))
_TIMES = ("admitted_at", "discharged_at", "observed_at", "birth_date")
_COMPILED = {role: tuple(re.compile(one) for one in patterns) for role, patterns in _PATTERNS.items()}


def plain(name: str) -> str:
    """The name in lower case without punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower().translate(_PLAIN_LETTERS))


def rank(role: str, name: str) -> int | None:
    """How likely the name is of the role, 0 the likeliest; None where it does not fit.

    Of a value within an object (`period.start`) the last name alone may fit, too.
    """
    patterns = _COMPILED[role]
    words = dict.fromkeys((plain(name), plain(name.rpartition(".")[2])))
    places = (place for word in words for place, one in enumerate(patterns) if one.fullmatch(word))
    return next(places, None)


def candidates(role: str, columns: Iterable[Column]) -> list[Column]:
    """The columns whose names and kinds allow the role, the likeliest first.

    A discharge that is empty, or that holds texts no format reads, stays a discharge: what the name says is never
    dropped for what the cells hold.
    """
    ranked = [(rank(role, one.name), one) for one in columns]
    named = [(place, one) for place, one in ranked if place is not None and _allowed(role, one)]
    return [one for _, one in sorted(named, key=lambda pair: (pair[0], -_liveliness(role, pair[1])))]


def _liveliness(role: str, column: Column) -> float:
    if role == "value":
        return column.number_share * column.filled_share
    # A time tells more than a day, and a date of birth more than a year.
    return column.filled_share - (column.kind != "time" if role in _TIMES else 0) - column.is_day


def _allowed(role: str, column: Column) -> bool:
    if role in ("stay_id", "patient_id"):
        return column.kind in ("text", "number") or column.time_formats[:1] in COMPACT_FORMATS
    if role in ("admitted_at", "discharged_at"):
        return column.kind in ("time", "empty") or (column.kind == "text" and not column.is_clock)
    if role == "observed_at":
        said = column.kind == "text" and _says_time(column.name) and not column.is_clock
        return said or column.kind in ("time", "number", "duration")
    if role == "value":
        return column.number_share >= 0.3
    if role in ("los", "age"):
        return column.number_share >= 0.5
    if role == "variable":
        return column.kind in ("text", "number") and not (column.distinct_share > 0.9 and column.distinct > 20)
    if role == "birth_date":
        return column.kind in ("time", "number")
    if role == "died":
        return column.kind != "time" and column.distinct <= 6
    return column.kind in ("text", "number", "empty") if role != "unit" else column.kind == "text"


def _says_time(name: str) -> bool:
    return re.search(rf"(?:{_WHEN})$", plain(name)) is not None
