"""Files that others join: patients to their stays, stays to results that name the patient alone, names to codes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from medlstm.onboarding.column_kinds import filled
from medlstm.onboarding.file_kinds import FileKind
from medlstm.onboarding.file_roles import Sheet
from medlstm.onboarding.keys_between_files import (
    covered_share,
    is_unique,
    key_texts,
    moments,
    referring_columns,
)
from medlstm.onboarding.proposed_parts import Block, Join, Question, Weight
from medlstm.onboarding.variable_names import meant_variable

_OF_PATIENTS = ("birth_date", "gender", "age", "died")
_FEWEST_COVERED = 0.5


@dataclass(frozen=True)
class Joined:
    """A join with the columns that it gives, why it is proposed, and what is doubtful of it."""

    sheet: Sheet
    join: Join
    columns: Mapping[str, str]
    reason: str
    questions: tuple[Question, ...] = ()


def patients_of(stays: Sheet, others: Sequence[Sheet]) -> Joined | None:
    """The file that knows sex and birth of the stays' patients: its key tells rows apart and covers theirs best."""
    found = []
    for other in others:
        given = [role for role in _OF_PATIENTS if role in other.roles and role not in stays.roles]
        for key in (one.name for one in other.sample.columns if given and is_unique(other.sample, one.name)):
            if "patient_id" in stays.roles:
                named = stays.name_of("patient_id")
                found.append((covered_share(stays.sample, named, other.sample, key), named, key, other, given))
            else:
                referring = referring_columns(stays.sample, other.sample, key)
                found += [(share, name, key, other, given) for name, share in referring.items()]
    share, name, key, other, given = max(found, key=lambda one: (one[0], len(one[4])), default=(0.0, "", "", stays, []))
    if not share:
        return None
    join = Join(join_name(other.kind), other.kind, {name: key})
    doubts: tuple[Question, ...] = ()
    if share < 0.99:
        doubts = (Question(Weight.LOOK, f"{1 - share:.0%} of the rows have no row in {other.kind.pattern}, and so no "
                           f"{', '.join(given)}; does each delivery hold every patient of its stays?"),)  # fmt: skip
    reason = f"{join.name}: {key} of {other.kind.pattern} is different in every row and has {share:.1%} of {name}"
    columns = {"patient_id": name} | {role: f"{join.name}.{other.name_of(role)}" for role in given}
    return Joined(other, join, columns, reason, doubts)


def labels_of(sheet: Sheet, others: Sequence[Sheet]) -> Joined | None:
    """For a file whose variables are codes that mean nothing here, the file that names them."""
    code = sheet.roles["variable"]
    best: tuple[float, str, str, Sheet] | None = None
    for other in others:
        for key in (one.name for one in other.sample.columns if is_unique(other.sample, one.name)):
            if covered_share(sheet.sample, code.name, other.sample, key) < 0.9:
                continue
            for label in (one.name for one in other.sample.columns if one.kind == "text" and one.name != key):
                texts = filled(other.sample.rows[label]).drop_duplicates()
                known = sum(meant_variable(one) is not None for one in texts.head(5000))
                if known and (best is None or known > best[0]):
                    best = (known, key, label, other)
    if best is None:
        return None
    _, key, named, other = best
    join = Join(join_name(other.kind), other.kind, {code.name: key})
    reason = f"{join.name}: {code.name} holds codes, and {other.kind.pattern} has their names in {named}"
    return Joined(other, join, {"variable": f"{join.name}.{named}"}, reason)


def stay_by_patient(sheet: Sheet, stays: Sheet, block: Block) -> Joined | None:
    """The stay in which a patient's result was taken; None where nothing says when each patient was in."""
    if not {"patient_id", "stay_id"} <= set(stays.roles) or not {"patient_id", "observed_at"} <= set(sheet.roles):
        return None
    mine, theirs = sheet.name_of("patient_id"), stays.name_of("patient_id")
    on = {mine: theirs}
    keep = block.settings.get("keep", {})
    columns = {"stay_id": f"stay.{stays.name_of('stay_id')}"}
    share = covered_share(sheet.sample, mine, stays.sample, theirs)
    doubts = []
    if share < _FEWEST_COVERED:
        doubts.append(Question(Weight.ROWS, f"{1 - share:.0%} of the rows have a {mine} that {stays.kind.pattern} "
                                            "does not "
                               f"have as {theirs}; do the two columns number the same patients?"))  # fmt: skip
    if {"admitted_at", "discharged_at"} <= set(stays.roles):
        between = {"time": sheet.name_of("observed_at"), "start": stays.name_of("admitted_at"),
                   "stop": stays.name_of("discharged_at")}  # fmt: skip
        doubts.append(Question(Weight.LOOK, "a row belongs to the stay of its patient that holds its time, to the "
                               "latest-begun of several; rows of no stay are left out, which --try counts, those of "
                               "unknown patients go to quarantine; is there a column of the stay "
                               "instead?"))  # fmt: skip
        overlapping = _overlapping(stays, keep)
        if overlapping:
            doubts.append(Question(Weight.ROWS, f"{overlapping:,} stays of {stays.kind.pattern} begin while another "
                                   "one of their patient goes on, and results from then on belong to the later-begun; "
                                   "are both stays, or is one a part of the other?"))  # fmt: skip
        reason = f"stay: no column names the stay, and {share:.1%} of {mine} are in {stays.kind.pattern}"
        return Joined(stays, Join("stay", stays.kind, on, between, keep), columns, reason, tuple(doubts))
    if not is_unique(stays.sample, theirs):
        return None
    reason = f"stay: every patient has one row in {stays.kind.pattern}"
    return Joined(stays, Join("stay", stays.kind, on, keep=keep), columns, reason, tuple(doubts))


def _overlapping(stays: Sheet, keep: Mapping[str, list[str]]) -> int:
    """How many of the stays that are kept begin before an earlier one of the same patient has ended."""
    sample = stays.sample
    known = pd.DataFrame({
        "stay": key_texts(sample, stays.name_of("stay_id")), "patient": key_texts(sample, stays.name_of("patient_id")),
        "begun": moments(sample, stays.roles["admitted_at"]), "ended": moments(sample, stays.roles["discharged_at"]),
    })  # fmt: skip
    for column, words in keep.items():
        known = known[sample.rows[column].reindex(known.index).str.strip().isin(words)]
    last = known.dropna(subset=["stay", "patient", "begun"]).drop_duplicates("stay", keep="last").sort_values("begun")
    until = last["ended"].fillna(pd.Timestamp.max.tz_localize("UTC")).groupby(last["patient"])
    return int((until.cummax().groupby(last["patient"]).shift() > last["begun"]).sum())


def join_name(kind: FileKind) -> str:
    """A name from the file's, as the settings allow."""
    stem = kind.pattern.rsplit("/", 1)[-1].split("*")[0].split(".")[0].strip("_-") or "joined"
    return re.sub(r"[^A-Za-z0-9_]", "_", stem)
