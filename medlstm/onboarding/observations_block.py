"""The block of a file of measurements: whose they are, when they were taken, what was measured and in which unit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medlstm.onboarding.column_roles import candidates, plain
from medlstm.onboarding.file_roles import Sheet, alternatives, variable_columns
from medlstm.onboarding.joined_files import Joined, labels_of, stay_by_patient
from medlstm.onboarding.keys_between_files import covered_share, referring_columns, rising_pair
from medlstm.onboarding.known_words import NOT_HAPPENED, RETRACTED, STATES, share_of, words_of
from medlstm.onboarding.measured_variables import Measured, long_variables, wide_variables
from medlstm.onboarding.proposed_parts import Block, Draft, Question, Weight

_FEWEST_COVERED = 0.5
_UNITS_HOURS = {"minutes": 1 / 60, "hours": 1.0, "days": 24.0}


@dataclass(frozen=True)
class Home:
    """The stays that measurements belong to."""

    sheet: Sheet
    block: Block


def observations_block(
    sheet: Sheet, homes: Sequence[Home], others: Sequence[Sheet]
) -> tuple[Block | None, list[Sheet]]:
    """The block of a long or a wide file and the files that it joins; None, with a first doubt, where its rows cannot
    find their stay."""
    draft = Draft()
    joined: list[Sheet] = []
    placed = _stay(sheet, homes, draft)
    draft.columns["observed_at"] = sheet.name_of("observed_at")
    _time(sheet, homes, draft)
    if sheet.what == "long":
        _long(sheet, others, draft, joined)
    else:
        _wide(sheet, draft)
    _states(sheet, draft)
    return (draft.block(sheet.kind, "observations") if placed else None), joined


def left_out(sheet: Sheet) -> Question:
    """The first doubt about a file of results that cannot be read."""
    return Question(Weight.FIRST, f"{sheet.kind.pattern} is left out whole: nothing says to which stay its rows "
                    "belong; which column names the stay or the patient?")  # fmt: skip


def _stay(sheet: Sheet, homes: Sequence[Home], draft: Draft) -> bool:
    """The column that names the stay, or the stay of the patient at the time."""
    named = sheet.roles.get("stay_id")
    if not homes:
        if named:
            draft.columns["stay_id"] = named.name
        return named is not None
    shares = _shares(sheet, homes)
    best = max(shares, key=lambda one: shares[one], default=None)
    by_patient = next((one for one in (stay_by_patient(sheet, home.sheet, home.block) for home in homes) if one), None)
    if best and (shares[best] >= _FEWEST_COVERED or not by_patient):
        draft.columns["stay_id"] = best
        key = " and ".join(f"{one.sheet.name_of('stay_id')} of {one.sheet.kind.pattern}" for one in homes
                           if "stay_id" in one.sheet.roles)  # fmt: skip
        draft.reasons.append(f"stay_id: {shares[best]:.1%} of {best} are in {key}")
        missing = 1 - sheet.sample.column(best).filled_share
        if shares[best] < _FEWEST_COVERED:
            draft.ask(Weight.ROWS, f"{1 - shares[best]:.0%} of the rows name no stay of {key}; do both number the "
                                   "same stays?")
        elif shares[best] < 0.99:
            draft.ask(Weight.LOOK, f"{1 - shares[best]:.1%} of the rows name no stay of {key}; are they of other "
                                   "dates?")
        if missing > 0.02:
            draft.ask(Weight.ROWS, f"{best} is empty in {missing:.0%} of the rows, which go to quarantine; are they of "
                      "outpatients? A join by patient and time would find the stays of the others")  # fmt: skip
        if best != (named.name if named else None):
            draft.ask(Weight.LOOK, f"{best} is taken as the stay because its texts are those of {key}; is it?")
        return True
    if by_patient:
        _take(by_patient, draft)
        return True
    return False


def _take(joined: Joined, draft: Draft) -> None:
    draft.join(joined.join, joined.columns, joined.reason, joined.questions)


def _shares(sheet: Sheet, homes: Sequence[Home]) -> dict[str, float]:
    """Column to the share of its rows that name a stay: the ones named so, and those whose texts are stays'."""
    found: dict[str, float] = {}
    for home in homes:
        if "stay_id" not in home.sheet.roles:
            continue
        key = home.sheet.name_of("stay_id")
        named = {one.name for one in sheet.sample.columns if plain(one.name) == plain(key)}
        named |= {one.name for one in (sheet.roles.get("stay_id"), *sheet.beside.get("stay_id", ())) if one}
        taken = {sheet.name_of(role) for role in ("variable", "value", "observed_at") if role in sheet.roles}
        columns = (named | set(referring_columns(sheet.sample, home.sheet.sample, key))) - taken
        for name in sorted(columns):
            share = covered_share(sheet.sample, name, home.sheet.sample, key)
            found[name] = min(found.get(name, 0.0) + share, 1.0)
    return found


def _time(sheet: Sheet, homes: Sequence[Home], draft: Draft) -> None:
    time = sheet.roles["observed_at"]
    for one in alternatives(sheet, "observed_at"):
        draft.ask(Weight.LOOK, f"{one.name} could be observed_at as well as {time.name}; which says when it was "
                               "measured?")
    if "observed_at" in sheet.judged:
        draft.ask(Weight.LOOK, f"{time.name} is taken as observed_at because it is the file's only time; is it?")
    if time.kind == "number":
        unit = _counted_in(sheet, homes, draft.columns.get("stay_id"))
        draft.settings["time_unit"] = unit
        draft.ask(Weight.VALUES, f"does {time.name} count {unit} from the admission? Otherwise time_unit is wrong")


def _counted_in(sheet: Sheet, homes: Sequence[Home], stay: str | None) -> str:
    """The unit in which the last measurements of stays lie nearest to their ends; else the one that the name says."""
    time = sheet.roles["observed_at"]
    word = plain(time.name)
    named = {"minutes": ("minute", "mins", "offsetmin"), "hours": ("hour", "hrs", "stunde"), "days": ("day",)}
    said = next((unit for unit, words in named.items() if any(one in word for one in words)),
                "minutes" if "offset" in word or word.startswith("min") else None)  # fmt: skip
    if said:
        return said
    counted = pd.to_numeric(sheet.sample.rows[time.name], errors="coerce")
    last = float(np.nanquantile(counted, 0.95)) if counted.notna().any() else 0.0
    median_hours = [_median_hours(one) for one in homes]
    usual = next((one for one in median_hours if one), 120.0)
    distance = {unit: abs(np.log(max(last * hours, 1e-9) / (2 * usual))) for unit, hours in _UNITS_HOURS.items()}
    return min(distance, key=lambda one: distance[one])


def _median_hours(home: Home) -> float | None:
    start, stop = home.sheet.roles.get("admitted_at"), home.sheet.roles.get("discharged_at")
    pair = rising_pair(home.sheet.sample, start, stop) if start and stop else None
    return pair.median_hours if pair and pair.median_hours > 0 else None


def _long(sheet: Sheet, others: Sequence[Sheet], draft: Draft, joined: list[Sheet]) -> None:
    draft.columns |= {role: sheet.name_of(role) for role in ("variable", "value")}
    measured = long_variables(sheet, sheet.sample.rows[sheet.name_of("variable")])
    labels = labels_of(sheet, others) if measured.known_share < 0.5 else None
    if labels:
        _take(labels, draft)
        joined.append(labels.sheet)
        ((mine, theirs),) = labels.join.on.items()
        label = labels.columns["variable"].removeprefix(f"{labels.join.name}.")
        names = labels.sheet.sample.rows.drop_duplicates(theirs).set_index(theirs)[label]
        measured = long_variables(sheet, sheet.sample.rows[mine].map(names))
    elif "variable" in sheet.judged:
        draft.ask(Weight.LOOK, f"{sheet.name_of('variable')} is taken as the variable because of its texts; is it?")
    if "value" in sheet.judged:
        draft.ask(Weight.LOOK, f"{sheet.name_of('value')} is taken as the value because it is the only number; is it?")
    _measured(measured, draft)
    for one in sheet.beside.get("variable", ()):
        if not labels:
            draft.ask(Weight.LOOK, f"{one.name} could name the variable as well as {sheet.name_of('variable')}; "
                                   "which does?")
    _value(sheet, draft)


def _value(sheet: Sheet, draft: Draft) -> None:
    value = sheet.roles["value"]
    words = 1 - value.number_share - value.comparator_share
    if words > 0.005:
        draft.ask(Weight.ROWS, f"{words:.1%} of {value.name} are no numbers, and go to quarantine; are they results in "
                  "words?")  # fmt: skip
    if value.comparator_share > 0:
        draft.ask(Weight.ROWS, f"about {value.comparator_share:.1%} of {value.name} have a sign such as < before the "
                  "number, and go to quarantine; may they be missing? Otherwise say in the block's spellings what each "
                  'counts as, such as value = { "<10" = "5" }')  # fmt: skip


def _wide(sheet: Sheet, draft: Draft) -> None:
    columns = variable_columns(sheet.sample, sheet.roles)
    draft.settings["layout"] = "wide"
    draft.settings["variables"] = [one.name for one in columns]
    _measured(wide_variables(sheet, columns), draft)
    taken = {one.name for one in columns} | set(draft.columns.values()) | {one.name for one in sheet.roles.values()}
    left = [one.name for one in sheet.sample.columns if one.name not in taken and one.kind != "empty"]
    if left:
        draft.ask(Weight.LOOK, f"not taken as variables, for they are no measured numbers: {', '.join(left)}; is one?")
    doubtful = [one.name for one in columns if one.number_share < 0.995]
    if doubtful:
        draft.ask(Weight.ROWS, f"some texts of {', '.join(doubtful)} are no numbers, and go to quarantine; what are "
                               "they?")


def _measured(measured: Measured, draft: Draft) -> None:
    if measured.unit_column:
        draft.settings["unit_column"] = measured.unit_column
    if measured.units:
        draft.settings["units"] = measured.units
    if measured.spellings:
        draft.settings["spellings"] = {"variable": measured.spellings}
    draft.reasons += measured.reasons
    draft.questions += measured.questions


def _states(sheet: Sheet, draft: Draft) -> None:
    for one in candidates("status", sheet.free()):
        texts = sheet.sample.rows[one.name]
        if share_of(texts, STATES) >= 0.5:
            back, never = words_of(texts, RETRACTED), words_of(texts, NOT_HAPPENED)
            draft.settings |= {"retracted_when": {one.name: back}} if back else {}
            draft.settings |= {"drop": {one.name: never}} if never else {}
            return
