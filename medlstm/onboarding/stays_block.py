"""The block of a file of stays: whom it admits, when they came and went, and what is known of them on arrival."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medlstm.onboarding.column_kinds import Column
from medlstm.onboarding.column_roles import candidates, plain
from medlstm.onboarding.file_roles import Sheet, alternatives, numbers_rows
from medlstm.onboarding.joined_files import patients_of
from medlstm.onboarding.keys_between_files import is_unique, rising_pair
from medlstm.onboarding.known_words import (
    FEMALE,
    INPATIENT,
    MALE,
    NOT_HAPPENED,
    OUTPATIENT,
    RETRACTED,
    STATES,
    share_of,
    words_of,
)
from medlstm.onboarding.proposed_parts import Block, Draft, Weight

_ROLES = ("stay_id", "patient_id", "admitted_at", "discharged_at", "died", "birth_date", "gender", "ward", "age")
_NUMBERS = ("bmi", "height", "weight", "bp")
_TEXTS = ("disease", "diagnosis", "race", "ethnicity", "insurance", "admission_type", "admission_location",
          "admission_source", "specialty", "service", "language", "marital_status", "religion")  # fmt: skip
_LOS_UNITS = (("minutes", ("minute",)), ("hours", ("hour", "stunde")), ("days", ("day", "tage")))
_MOST_CATEGORIES = 200
_RUN_TOGETHER = {"admissiontype": "admission_type", "maritalstatus": "marital_status", "fachrichtung": "specialty"}


@dataclass(frozen=True)
class StaysProposal:
    """A block, the features that it gives, and the files that it joins."""

    block: Block
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    joined: tuple[Sheet, ...] = ()


def stays_block(sheet: Sheet, others: Sequence[Sheet]) -> StaysProposal:
    """The block of stays, with what other files know of their patients."""
    draft = Draft(columns={role: sheet.name_of(role) for role in _ROLES if role in sheet.roles})
    joined = patients_of(sheet, others)
    if joined:
        draft.join(joined.join, joined.columns, joined.reason, joined.questions)
    _identity(sheet, draft)
    _times(sheet, draft)
    _class(sheet, draft)
    _states(sheet, draft)
    _gender(sheet, joined.sheet if joined else None, draft)
    numeric, categorical = _features(sheet, draft)
    return StaysProposal(draft.block(sheet.kind, "stays"), numeric, categorical, (joined.sheet,) if joined else ())


def _identity(sheet: Sheet, draft: Draft) -> None:
    if "stay_id" not in sheet.roles:
        draft.settings["generate_stay_ids"] = True
        draft.ask(Weight.ROWS, "no column tells stays apart, so that each row counts as a stay of its own; is it one?")
        return
    key = sheet.name_of("stay_id")
    if is_unique(sheet.sample, key):
        draft.reasons.append(f"stays: {key} is different in every row")
    else:
        draft.ask(Weight.ROWS, f"{key} repeats, and of rows with the same one the last counts; are the rows versions "
                               "of "
                  "one stay, or parts of it such as wards?")  # fmt: skip
    if "stay_id" in sheet.judged:
        draft.ask(Weight.LOOK, f"{key} is taken as the stay's identifier because it tells rows apart; is it?")
    if "patient_id" not in draft.columns:
        draft.ask(Weight.LOOK, "no column names the patient, so that each stay counts as a patient of its own; does "
                               "one?")
    elif sheet.sample.column(draft.columns["patient_id"]).filled_share < 0.99:
        draft.ask(Weight.ROWS, f"{draft.columns['patient_id']} is empty in some rows; whose stays are they?")


def _times(sheet: Sheet, draft: Draft) -> None:
    if "admitted_at" not in sheet.roles:
        _length(sheet, draft)
        return
    start, stop = sheet.roles["admitted_at"], sheet.roles.get("discharged_at")
    for role in ("admitted_at", "discharged_at"):
        for one in alternatives(sheet, role):
            draft.ask(Weight.LOOK, f"{one.name} could be {role} as well as {sheet.name_of(role)}; which is it?")
    if start.filled_share < 0.99:
        draft.ask(Weight.ROWS, f"{start.name} is empty in {1 - start.filled_share:.0%} of the rows, which go to "
                  "quarantine; is another column the admission?")  # fmt: skip
    if stop is None:
        if "los" in sheet.roles:
            _length(sheet, draft)
            return
        draft.ask(Weight.ROWS, "no column says when a stay ended, so that every stay counts as open; does another "
                  "file say it?")  # fmt: skip
        return
    if stop.kind == "empty":
        draft.ask(Weight.ROWS, f"{stop.name} is empty in every row looked at, so that every stay counts as open; is "
                               "it so?")
        return
    pair = rising_pair(sheet.sample, start, stop)
    if pair is None:
        return
    draft.reasons.append(
        f"{start.name} comes before {stop.name} in {pair.share:.1%} of the rows with both"
        + (f"; {stop.name} is empty in {1 - stop.filled_share:.1%}: these are open" if stop.filled_share < 1 else "")
    )
    if pair.share < 1:
        draft.ask(Weight.VALUES, f"{stop.name} is before {start.name} in {1 - pair.share:.1%} of the rows, which go to "
                  "quarantine; are the columns the right ones?")  # fmt: skip
    if "admitted_at" in sheet.judged:
        draft.ask(Weight.ROWS, f"{start.name} and {stop.name} are taken as admission and discharge because the one "
                  "comes before the other; are they?")  # fmt: skip


def _length(sheet: Sheet, draft: Draft) -> None:
    column = sheet.roles["los"]
    draft.settings["los_column"] = column.name
    word = plain(column.name)
    unit = next((unit for unit, words in _LOS_UNITS if any(one in word for one in words)), "days")
    if unit != "days":
        draft.settings["los_unit"] = unit
    draft.ask(Weight.VALUES, f"is {column.name} in {unit}? Otherwise say los_unit")


def _class(sheet: Sheet, draft: Draft) -> None:
    """Only inpatient encounters are stays: by a column of classes, or with a first doubt where nothing says so."""
    found = _class_column(sheet)
    if found:
        words = words_of(sheet.sample.rows[found.name], INPATIENT)
        share = share_of(sheet.sample.rows[found.name], INPATIENT)
        if words:
            draft.settings["keep"] = {found.name: words}
            draft.reasons.append(f"keep: {share:.1%} of the rows are inpatient by {found.name}")
            unknown = 1 - share - share_of(sheet.sample.rows[found.name], OUTPATIENT)
            if unknown > 0.0005:
                draft.ask(Weight.ROWS, f"{unknown:.1%} of the rows have a {found.name} that is known neither as "
                                       "inpatient "
                          "nor as outpatient, and are left out; are there stays among them?")  # fmt: skip
            return
        draft.ask(Weight.FIRST, f"by {found.name} the rows are outpatient encounters, and all of them would be "
                  f"admitted as stays; which texts of {found.name} are inpatient? Name them in keep")  # fmt: skip
        return
    start, stop = sheet.roles.get("admitted_at"), sheet.roles.get("discharged_at")
    pair = rising_pair(sheet.sample, start, stop) if start and stop else None
    if pair and pair.short_share > 0.3:
        short = "begin and end on one day" if start and start.is_day else "last less than six hours"
        draft.ask(Weight.FIRST, f"{pair.short_share:.0%} of the ended rows {short}; are outpatient "
                  "encounters admitted as stays? Name the inpatient ones in keep = { COLUMN = [\"…\"] }")  # fmt: skip


def _class_column(sheet: Sheet) -> Column | None:
    """The column most of whose rows are known classes; words that are also something else need the column's name."""
    named = candidates("visit_class", sheet.free())
    few = [one for one in sheet.free() if one.kind in ("text", "number") and one.distinct <= 30]
    shares = []
    for one in few:
        texts = sheet.sample.rows[one.name]
        share = share_of(texts, INPATIENT | OUTPATIENT)
        words = words_of(texts, INPATIENT | OUTPATIENT)
        inpatient = any(plain(word) in INPATIENT and len(plain(word)) > 2 and not word.isdigit() for word in words)
        shares.append((share if one in named or inpatient else 0.0, one in named, one))
    best = max(shares, key=lambda one: one[:2], default=None)
    return best[2] if best and best[0] >= 0.5 else None


def _states(sheet: Sheet, draft: Draft) -> None:
    """Rows that the source took back, or that never came about, by a column of states."""
    for one in candidates("status", sheet.free()):
        texts = sheet.sample.rows[one.name]
        if share_of(texts, STATES) < 0.5:
            continue
        back, never = words_of(texts, RETRACTED), words_of(texts, NOT_HAPPENED)
        if back:
            draft.settings["retracted_when"] = {one.name: back}
            draft.reasons.append(f"retracted_when: {one.name} marks rows that were entered in error")
        if never:
            draft.settings["drop"] = {one.name: never}
            draft.reasons.append(f"drop: {one.name} marks encounters that did not take place")
        return


def _gender(sheet: Sheet, patients: Sheet | None, draft: Draft) -> None:
    source = sheet if "gender" in sheet.roles else patients
    if source is None or "gender" not in draft.columns or "gender" not in source.roles:
        return
    texts = source.sample.rows[source.name_of("gender")]
    spelled = {word: meant for meant, known in (("female", FEMALE), ("male", MALE)) for word in words_of(texts, known)
               if word != meant}  # fmt: skip
    if spelled and share_of(texts, FEMALE | MALE) > 0.5:
        draft.settings["spellings"] = {"gender": spelled}


def _features(sheet: Sheet, draft: Draft) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is known when a patient comes; a column that is filled for ended stays alone is not."""
    numeric: list[str] = []
    categorical: list[str] = []
    for role, place in (("age", numeric), ("gender", categorical), ("ward", categorical)):
        if role in draft.columns or (role == "age" and "birth_date" in draft.columns):
            place.append(role)
    left = []
    for one in sheet.free():
        name = _snake(one.name)
        if name in (*_NUMBERS, *_TEXTS):
            is_number = name in _NUMBERS
            if (is_number and one.kind != "number") or one.distinct > _MOST_CATEGORIES or _ends_first(sheet, one):
                left.append(one.name)
                continue
            (numeric if is_number else categorical).append(name)
            if name != one.name:
                draft.columns[name] = one.name
        elif one.kind in ("number", "text") and one.distinct > 1 and not numbers_rows(one) and not _used(one, draft):
            left.append(one.name)
    if left:
        draft.ask(Weight.LOOK, f"not taken as features: {', '.join(left)}; which of them are known on admission? "
                  "(What is coded at discharge tells a model how long the stay was)")  # fmt: skip
    if "ward" in sheet.roles and sheet.roles["ward"].distinct_share > 0.5 and sheet.roles["ward"].distinct > 50:
        draft.ask(Weight.LOOK, f"{sheet.name_of('ward')} has many different texts; is it a ward?")
    return tuple(dict.fromkeys(numeric)), tuple(dict.fromkeys(categorical))


def _used(column: Column, draft: Draft) -> bool:
    return any(column.name in draft.settings.get(key, ()) for key in ("keep", "drop", "retracted_when"))


def _ends_first(sheet: Sheet, column: Column) -> bool:
    """Whether a column is filled where the stay has ended and empty where it is open."""
    stop = sheet.roles.get("discharged_at")
    if stop is None or not 0 < stop.filled_share < 1:
        return False
    said = {one.name: sheet.sample.rows[one.name].isin(("",)) | sheet.sample.rows[one.name].isna()
            | sheet.sample.rows[one.name].isin(one.null_texts) for one in (stop, column)}  # fmt: skip
    ended, filled_in = ~said[stop.name], ~said[column.name]
    return bool(np.mean(filled_in[ended]) > 0.5 and np.mean(filled_in[~ended]) < 0.1)


def _snake(name: str) -> str:
    lowered = "".join(f"_{one}" if one.isupper() and place and name[place - 1].islower() else one
                      for place, one in enumerate(name))  # fmt: skip
    word = re.sub(r"[^a-z0-9]+", "_", lowered.lower()).strip("_")
    return _RUN_TOGETHER.get(word, word)
