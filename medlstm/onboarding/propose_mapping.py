"""A proposed [source] for files that nobody has described yet: what can be told from names and kinds of columns.

Nothing here shows a value of a row: proposals name columns, formats and delimiters alone.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from medlstm.onboarding.sample_file import Column, FileSample, sample_file
from medlstm.onboarding.toml_text import inline_table, printable, quoted

# Names that exporters use, lower case without punctuation; the first that a file has is taken.
_NAMES: dict[str, tuple[str, ...]] = {
    "stay_id": ("stayid", "encounterid", "encounter", "visitid", "visit", "visitoccurrenceid", "hadmid", "icustayid",
                "patientunitstayid", "caseid", "casenumber", "case", "fallid", "fallnr", "fallnummer", "fall",
                "admissionid", "recordid"),
    "patient_id": ("patientid", "patient", "subjectid", "personid", "mrn", "pid", "patientnr", "patid"),
    "admitted_at": ("admittedat", "admissiontime", "admittime", "admission", "admissiondate", "admitdate", "admitted",
                    "intime", "start", "starttime", "visitstartdatetime", "aufnahme", "aufnahmedatum"),
    "discharged_at": ("dischargedat", "dischargetime", "dischtime", "discharge", "dischargedate", "discharged",
                      "outtime", "stop", "end", "endtime", "visitenddatetime", "entlassung", "entlassdatum"),
    "died": ("died", "hospitalexpireflag", "expired", "death", "deceased", "verstorben"),
    "observed_at": ("observedat", "charttime", "takenat", "sampledat", "time", "timestamp", "datetime", "date",
                    "measuredat", "measurementdatetime", "effectivedatetime", "zeit", "zeitpunkt", "hour", "hours",
                    "offset"),
    "variable": ("variable", "parameter", "analyte", "code", "itemid", "item", "test", "testname", "labname", "label",
                 "measurementconceptid", "measurement", "name", "description", "loinc"),
    "value": ("value", "valuenum", "numericvalue", "result", "labresult", "valueasnumber", "wert", "messwert"),
    "unit": ("unit", "units", "valueuom", "unitofmeasure", "einheit", "uom"),
    "birth_date": ("birthdate", "dateofbirth", "dob", "geburtsdatum"),
    "los": ("los", "losdays", "lengthofstay", "verweildauer"),
    "gender": ("gender", "sex", "geschlecht"),
    "ward": ("ward", "unit", "department", "careunit", "firstcareunit", "station"),
    "age": ("age", "alter", "anchorage"),
}  # fmt: skip
_STATIC_NUMBERS = ("age", "bmi", "height", "weight", "bp")
_STATIC_TEXTS = ("gender", "ward", "disease", "diagnosis", "race", "ethnicity", "insurance", "admissiontype")


@dataclass
class _Block:
    """One proposed [[source.files]] block, with what a person has to decide."""

    sample: FileSample
    table: str
    roles: dict[str, Column]
    lines: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Proposal:
    """`toml`: what medlstm.toml would say of these files; `undecided`: what a person has to look at, in words."""

    toml: str
    undecided: tuple[str, ...]


def inspect_files(paths: Iterable[Path]) -> Proposal:
    """Look at the beginning of each file and propose [source] and [features]; files are read, nothing is written."""
    return propose([sample_file(path) for path in sorted(paths)])


def propose(samples: list[FileSample]) -> Proposal:
    """The proposal for files that have been looked at."""
    undecided = [f"{one.path.name}: {one.problem}" for one in samples if one.problem]
    good = [one for one in samples if not one.problem]
    other = _other_format(good)
    if other:
        return Proposal(other, tuple(undecided))
    blocks, lookups = _blocks(good, undecided)
    _join(blocks, lookups, undecided)
    for block in blocks:
        undecided += [f"{block.sample.path.name}: {one}" for one in block.undecided]
    if not any(block.table == "stays" for block in blocks):
        undecided.append("no file looks like stays (a stay's identifier with an admission time, or a length of stay)")
    return Proposal(_toml(blocks, undecided), tuple(undecided))


def _other_format(samples: list[FileSample]) -> str | None:
    """Formats with a source of their own are known by their columns."""
    for sample in samples:
        names = set(sample.names())
        if sample.form == "json_lines" and "resourceType" in names:
            return _format_only("fhir")
        if sample.form == "parquet" and {"subject_id", "time", "code"} <= names:
            return _format_only("meds")
        if sample.form == "delimited" and sample.names() == ["Time", "Parameter", "Value"]:
            return _format_only("physionet2012")
        if sample.form == "parquet" and any(column.kind == "duration" for column in sample.columns):
            return _format_only("wide_parquet")
    return None


def _format_only(name: str) -> str:
    return (f"# These files are of a format that medlstm knows. `medlstm init DIR --example {name}` writes the "
            f'settings with comments.\n[source]\nformat = "{name}"\n')  # fmt: skip


def _blocks(samples: list[FileSample], undecided: list[str]) -> tuple[list[_Block], list[FileSample]]:
    """A block for every file that is a table, and the files that others may join."""
    blocks, lookups = [], []
    for sample in samples:
        roles = _roles(sample)
        if "variable" in roles and "value" in roles and "observed_at" in roles:
            blocks.append(_long(sample, roles))
        elif "admitted_at" in roles or "los" in roles:
            blocks.append(_stays(sample, roles))
        elif "observed_at" in roles and ("stay_id" in roles or "patient_id" in roles):
            blocks.append(_wide(sample, roles))
        elif "patient_id" in roles or "id" in {_plain(name) for name in sample.names()}:
            lookups.append(sample)
        else:
            undecided.append(f"{sample.path.name}: its columns ({', '.join(sample.names())}) tell neither stays nor "
                             "observations")  # fmt: skip
    return blocks, lookups


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _roles(sample: FileSample) -> dict[str, Column]:
    by_name: dict[str, Column] = {}
    for column in sample.columns:
        by_name.setdefault(_plain(column.name), column)
    roles = {}
    for role, names in _NAMES.items():
        found = next((by_name[name] for name in names if name in by_name), None)
        if found is None or (role in ("admitted_at", "discharged_at") and found.kind not in ("time", "empty")):
            continue
        if found.kind == "text" and role in ("observed_at", "los"):
            continue
        roles[role] = found
    if "stay_id" not in roles and "admitted_at" in roles and "id" in by_name:
        roles["stay_id"] = by_name["id"]
    return roles


def _stays(sample: FileSample, roles: dict[str, Column]) -> _Block:
    block = _Block(sample, "stays", roles)
    if "stay_id" not in roles:
        block.lines.append("generate_stay_ids = true")
        block.undecided.append("no column looks like a stay's identifier; each row counts as a stay of its own")
    if "admitted_at" not in roles:
        block.lines.append(f"los_column = {quoted(roles['los'].name)}")
        block.undecided.append(f"is {roles['los'].name} in days? Otherwise say los_unit")
    names = ("stay_id", "patient_id", "admitted_at", "discharged_at", "died", "birth_date", "gender", "ward", "age")
    block.lines.insert(0, _columns_line({name: roles[name].name for name in names if name in roles}))
    return block


def _long(sample: FileSample, roles: dict[str, Column]) -> _Block:
    block = _Block(sample, "observations", roles)
    names = ("stay_id", "observed_at", "variable", "value")
    block.lines.append(_columns_line({name: roles[name].name for name in names if name in roles}))
    if "unit" in roles:
        block.lines.append(f"unit_column = {quoted(roles['unit'].name)}")
        block.undecided.append(
            "units are converted for the variables of medlstm/values/reference/variables.csv only: rename yours to "
            "its names "
            "with spellings.variable"
        )
    if roles["value"].kind == "text":
        block.undecided.append(f"{roles['value'].name} holds text beside numbers; rows of text go to quarantine")
    return _timed(block)


def _wide(sample: FileSample, roles: dict[str, Column]) -> _Block:
    block = _Block(sample, "observations", roles)
    taken = {column.name for role, column in roles.items() if role in ("stay_id", "patient_id", "observed_at")}
    variables = [column.name for column in sample.columns
                 if column.kind in ("number", "comma_number") and column.name not in taken]  # fmt: skip
    names = ("stay_id", "observed_at")
    block.lines += ['layout = "wide"', _columns_line({name: roles[name].name for name in names if name in roles}),
                    f"variables = [{', '.join(map(quoted, variables))}]"]  # fmt: skip
    left = [column.name for column in sample.columns if column.name not in {*taken, *variables}]
    if left:
        block.undecided.append(f"not taken as variables, for they are no numbers: {', '.join(left)}")
    return _timed(block)


def _timed(block: _Block) -> _Block:
    time = block.roles["observed_at"]
    if time.kind in ("number", "comma_number"):
        block.lines.append('time_unit = "hours"')
        block.undecided.append(f"does {time.name} count hours from the admission? Otherwise time_unit is wrong")
    if "stay_id" not in block.roles and "patient_id" not in block.roles:
        block.undecided.append("no column looks like the identifier of a stay or of a patient")
    return block


def _join(blocks: list[_Block], lookups: list[FileSample], undecided: list[str]) -> None:
    """Statics of patients for stays, and the stay of results that name only the patient."""
    stays = [block for block in blocks if block.table == "stays"]
    for sample in lookups:
        roles = _roles(sample)
        key = roles.get("patient_id") or next(one for one in sample.columns if _plain(one.name) == "id")
        joinable = [block for block in stays if "patient_id" in block.roles]
        if not joinable:
            undecided.append(f"{sample.path.name}: looks like patients, but no stays name a patient to join them to")
        for block in joinable:
            name = _pattern(sample.path).split("*")[0].split(".")[0].strip("_-") or "joined"
            name = re.sub(r"[^A-Za-z0-9_]", "_", name)
            given = {role: f"{name}.{column.name}" for role, column in roles.items()
                     if role in ("birth_date", "gender", "age", "died") and role not in block.roles}  # fmt: skip
            block.roles |= {role: roles[role] for role in given}
            block.lines[0] = _columns_line(_columns_of(block.lines[0]) | given)
            block.lines += ["", *_join_lines(name, sample, {block.roles["patient_id"].name: key.name})]
    for block in blocks:
        if block.table != "observations" or "stay_id" in block.roles or "patient_id" not in block.roles:
            continue
        home = next((one for one in stays if {"stay_id", "patient_id", "admitted_at"} <= set(one.roles)), None)
        if home is None:
            block.undecided.append("it names only the patient, and no stays say when each patient was in")
            continue
        place = next(number for number, line in enumerate(block.lines) if line.startswith("columns"))
        named = {"stay_id": f"stay.{home.roles['stay_id'].name}"}
        block.lines[place] = _columns_line(named | _columns_of(block.lines[place]))
        stop = home.roles.get("discharged_at", home.roles["admitted_at"]).name
        times = {"time": block.roles["observed_at"].name, "start": home.roles["admitted_at"].name, "stop": stop}
        on = {block.roles["patient_id"].name: home.roles["patient_id"].name}
        block.lines += ["", *_join_lines("stay", home.sample, on), f"between = {inline_table(times)}"]


def _join_lines(name: str, sample: FileSample, on: dict[str, str]) -> list[str]:
    return ["[[source.files.joins]]", f"name = {quoted(name)}", f"pattern = {quoted(_pattern(sample.path))}",
            f"on = {inline_table(on)}", *_form_lines(sample)]  # fmt: skip


def _columns_line(columns: dict[str, str]) -> str:
    return f"columns = {inline_table(columns)}"


def _columns_of(line: str) -> dict[str, str]:
    return dict(tomllib.loads(line)["columns"])


def _form_lines(sample: FileSample) -> list[str]:
    lines = []
    if sample.delimiter != ",":
        lines.append(f"delimiter = {quoted(sample.delimiter)}")
    if sample.encoding != "utf-8":
        lines.append(f"encoding = {quoted(sample.encoding)}")
    return lines


def _pattern(path: Path) -> str:
    """The file's name with numbers, such as a date, as a wildcard."""
    return re.sub(r"\*+", "*", re.sub(r"\d[\d_.-]*\d|\d+", "*", path.name))


def _toml(blocks: list[_Block], undecided: list[str]) -> str:
    lines = ["# Proposed by `medlstm inspect`; look at every line before you rely on it."]
    lines += [f"# not decided: {printable(one)}" for one in undecided]
    lines += ["[source]", 'format = "csv"']
    for block in sorted(blocks, key=lambda one: one.table == "observations"):
        lines += ["", "[[source.files]]", f"pattern = {quoted(_pattern(block.sample.path))}",
                  f"table = {quoted(block.table)}", *_file_lines(block), *block.lines]  # fmt: skip
    numeric, categorical = _features(blocks)
    lines += ["", "[features]", f"numeric = [{', '.join(map(quoted, numeric))}]",
              f"categorical = [{', '.join(map(quoted, categorical))}]", ""]  # fmt: skip
    return "\n".join(lines)


def _file_lines(block: _Block) -> list[str]:
    lines = _form_lines(block.sample)
    if any(column.kind == "comma_number" for column in block.sample.columns):
        lines.append("decimal_comma = true")
    times = ("admitted_at", "discharged_at", "observed_at", "birth_date")
    named = [column for role, column in block.roles.items() if role in times and column.time_formats]
    formats = list(dict.fromkeys(column.time_formats[0] for column in named))
    if formats:
        lines.append(f"time_formats = [{', '.join(map(quoted, formats))}]")
    for column in named:
        if len(column.time_formats) > 1:
            lines.append(f"# not decided: {printable(column.name)} may be {' or '.join(column.time_formats)}")
    return lines


def _features(blocks: list[_Block]) -> tuple[list[str], list[str]]:
    """Statics of the stays that medlstm can use under their own names."""
    numeric, categorical = [], []
    for block in blocks:
        if block.table != "stays":
            continue
        plain = {column.name: column for column in block.sample.columns}
        numeric += [name for name in _STATIC_NUMBERS if name in plain and plain[name].kind == "number"]
        categorical += [name for name in _STATIC_TEXTS if name in plain or name in block.roles]
        if "age" in block.roles or "birth_date" in block.roles:
            numeric.append("age")
    return list(dict.fromkeys(numeric)), list(dict.fromkeys(categorical))
