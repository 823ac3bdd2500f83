"""All kinds of files held against each other: which are the stays, which the measurements, which others may join."""

from collections.abc import Sequence
from dataclasses import dataclass

from medlstm.onboarding.column_roles import plain
from medlstm.onboarding.file_roles import Sheet
from medlstm.onboarding.keys_between_files import covered_share, is_unique, referring_columns
from medlstm.onboarding.proposed_parts import Question, Weight


@dataclass(frozen=True)
class Tables:
    """The kinds by what they become; `questions`: which were left out, and why."""

    stays: tuple[Sheet, ...]
    measurements: tuple[Sheet, ...]
    others: tuple[Sheet, ...]
    questions: tuple[Question, ...]


def choose_tables(sheets: Sequence[Sheet]) -> Tables:
    """Of several files that could be the stays the one that the others refer to; the rest is left out aloud."""
    measurements = [one for one in sheets if one.what in ("long", "wide")]
    could_be = [one for one in sheets if one.what == "stays"]
    several_rows = [one for one in could_be if _repeats(one)]
    once = [one for one in could_be if one not in several_rows] or could_be
    stays, others, questions = _referred_to(once, measurements), [], []
    for one in could_be:
        if one in stays:
            continue
        others.append(one)
        why = (f"several rows have the same {one.name_of('stay_id')}" if _repeats(one)
               else f"{stays[0].kind.pattern} has the stays")  # fmt: skip
        questions.append(Question(
            Weight.ROWS if not stays else Weight.LOOK,
            f"{one.kind.pattern} is left out: it has times of begin and end too, but {why}. Is it to be the stays?",
        ))  # fmt: skip
    others += [one for one in sheets if one.what == "other"]
    return Tables(tuple(stays), tuple(measurements), tuple(others), tuple(questions))


def _repeats(sheet: Sheet) -> bool:
    return "stay_id" in sheet.roles and not is_unique(sheet.sample, sheet.name_of("stay_id"))


def _referred_to(sheets: list[Sheet], measurements: list[Sheet]) -> list[Sheet]:
    """Not a file whose rows name rows of another one that could be the stays, unless the measurements name its own."""
    if len(sheets) < 2:
        return sheets
    keyed = [one for one in sheets if "stay_id" in one.roles]
    roots = [one for one in keyed if not any(_is_part_of(one, other) for other in keyed if other is not one)] or keyed
    if not roots:
        return sheets[:1]
    best = max(roots, key=lambda one: _named_by(one, measurements))
    for part in keyed:
        if part not in roots and _named_by(part, measurements) > _named_by(best, measurements) + 0.2:
            best = part
    alike = [one for one in roots if _means_the_same(one, best)] if best in roots else [best]
    return [one for one in sheets if one in alike]


def _is_part_of(sheet: Sheet, other: Sheet) -> bool:
    """Whether a column beside the file's own key names rows of the other file."""
    key = other.name_of("stay_id")
    referring = set(referring_columns(sheet.sample, other.sample, key))
    own = {one.name for one in (sheet.roles["stay_id"], *sheet.beside.get("stay_id", ()))
           if is_unique(sheet.sample, one.name)}  # fmt: skip
    return bool(referring - own) or bool(referring and own - referring)


def _means_the_same(sheet: Sheet, other: Sheet) -> bool:
    return plain(sheet.name_of("stay_id")) == plain(other.name_of("stay_id"))


def _named_by(sheet: Sheet, measurements: list[Sheet]) -> float:
    """How much of the measurements names rows of the sheet, from 0 to 1."""
    key = sheet.name_of("stay_id")
    shares = [max((covered_share(one.sample, name, sheet.sample, key)
                   for name in {key, *(column.name for column in (one.roles.get("stay_id"),) if column)}
                   if name in one.sample.rows), default=0.0) for one in measurements]  # fmt: skip
    return sum(shares) / max(len(shares), 1)
