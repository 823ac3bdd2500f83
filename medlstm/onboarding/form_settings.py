"""How the cells of a block's file are written: what the settings say of it, and what may be read in two ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medlstm.onboarding.column_kinds import Column
from medlstm.onboarding.proposed_parts import Block, Question, Weight
from medlstm.onboarding.sample_file import FileSample
from medlstm.settings.source import CsvFileMapping, JoinSection

# Words that mean missing wherever they stand; of others a person is asked.
_MISSING = {"NULL", "null", "\\N", "NaN", "NA"}
# Tables of one byte a letter; the first one has the letters of the second, and more.
_WESTERN = ("cp1252", "latin-1")
_TIMES = ("admitted_at", "discharged_at", "observed_at", "birth_date")


@dataclass(frozen=True)
class FormSettings:
    """Further keys of a block, what they follow from, and doubts about how its cells are to be read."""

    settings: Mapping[str, Any]
    reasons: tuple[str, ...]
    questions: tuple[Question, ...]


def text_settings(sample: FileSample, section: type[CsvFileMapping] | type[JoinSection]) -> dict[str, Any]:
    """Delimiter, encoding and quoting where they are not the usual ones."""
    said: dict[str, Any] = {}
    if sample.text.delimiter != ",":
        said["delimiter"] = sample.text.delimiter
    if sample.text.encoding != "utf-8":
        said["encoding"] = sample.text.encoding
    if sample.text.quoting != "double" and "quoting" in section.model_fields:
        said["quoting"] = sample.text.quoting
    return said


def with_encoding_of_others(samples: Sequence[FileSample]) -> list[FileSample]:
    """Files that hold ASCII alone as the others of their export are written, where those agree on a Western table: a
    letter such as ü, when it comes, is then read."""
    told = {one.text.encoding for one in samples if one.form == "delimited" and not one.text.is_ascii}
    if not told or not told <= set(_WESTERN):
        return list(samples)
    encoding = next(one for one in _WESTERN if one in told)
    return [replace(one, text=replace(one.text, encoding=encoding)) if one.text.is_ascii else one for one in samples]


def form_settings(block: Block, day_first: bool | None) -> FormSettings:
    """Of the columns that the block uses; `day_first`: what the unambiguous dates of all files say."""
    sample = block.kind.sample
    settings = text_settings(sample, CsvFileMapping)
    questions = list(_text_questions(sample))
    used = _used(block)
    numbers = [one for one in used if one.kind == "number" or (one.kind == "text" and one.number_share > 0.3)]
    if any(one.number_style == "comma" for one in numbers) or (
        any(one.number_style == "comma_groups" for one in numbers) and sample.text.delimiter == ";"
    ):
        settings["decimal_comma"] = True
    questions += _number_questions(numbers, settings.get("decimal_comma", False))
    formats, doubts = _time_formats(block, day_first)
    if formats:
        settings["time_formats"] = formats
    return FormSettings(settings, _reasons(sample, used), (*questions, *doubts, *_null_questions(used)))


def _reasons(sample: FileSample, used: Sequence[Column]) -> tuple[str, ...]:
    encoding = sample.text.encoding
    why = "what was looked at is ASCII, and other files are" if sample.text.is_ascii else "the file is"
    said = [f"encoding: {why} written in {encoding.upper()}"] if encoding != "utf-8" else []
    said += [f"{one.name}: {', '.join(one.null_texts)} stands for missing" for one in used if one.null_texts]
    return tuple(said)


def _used(block: Block) -> list[Column]:
    named = {*block.columns.values(), *block.settings.get("variables", ())}
    los = block.settings.get("los_column")
    return [one for one in block.kind.sample.columns if one.name in named or one.name == los]


def _text_questions(sample: FileSample) -> list[Question]:
    form = sample.text
    if form.quoting == "none":
        return [Question(Weight.VALUES, f"quotes open and do not close in {form.unbalanced_lines:,} lines, all of "
                                        "which are "
                         "whole when a quote is a letter like others: quoting = \"none\"; is it so?")]  # fmt: skip
    if form.unbalanced_lines:
        return [Question(Weight.ROWS, f"quotes open and do not close in {form.unbalanced_lines:,} lines; do texts "
                                      "run over "
                         "line ends, or is a quote never closed? Rows between two such lines may be lost")]  # fmt: skip
    return []


def _number_questions(numbers: Sequence[Column], decimal_comma: bool) -> list[Question]:
    questions = []
    for one in numbers:
        if one.number_style == "point_groups":
            way = ("with decimal_comma 1.250 is read as 1250" if decimal_comma
                   else "1.250 is read as one and a quarter; decimal_comma = true would read 1250")  # fmt: skip
            questions.append(Question(Weight.VALUES, f"{one.name} has three digits behind every point: thousands or "
                                      f"decimals? Here {way}"))  # fmt: skip
        elif one.number_style == "comma_groups":
            way = ("with decimal_comma 1,250 is read as one and a quarter" if decimal_comma
                   else "1,250 is no number here and goes to quarantine; decimal_comma = true would read "
                        "1.25")  # fmt: skip
            questions.append(Question(Weight.VALUES, f"{one.name} has three digits behind every comma: thousands or "
                                      f"decimals? {way}"))  # fmt: skip
        elif one.number_style == "english":
            questions.append(Question(Weight.VALUES, f"{one.name} has commas between thousands, as in 1,250.5: such "
                                                     "rows go to "
                                      "quarantine; can it be exported without them?"))  # fmt: skip
        elif decimal_comma and one.number_style == "plain" and one.has_point:
            questions.append(Question(Weight.VALUES, f"{one.name} has decimals behind a point while other columns "
                                                     "have them "
                                      "behind a comma; is 1.25 one and a quarter in it?"))  # fmt: skip
    return questions


def _time_formats(block: Block, day_first: bool | None) -> tuple[list[str], list[Question]]:
    """The formats of the block's times and of those that a join compares them with."""
    columns = {one.name: one for one in block.kind.sample.columns}
    times = [columns[name] for role in _TIMES if (name := block.columns.get(role, "")) in columns]
    if block.settings.get("time_unit", "timestamp") != "timestamp":
        times = []
    joined = [join.kind.sample.column(join.between[end]) for join in block.joins for end in ("start", "stop")
              if join.between]  # fmt: skip
    for join in block.joins:
        born = block.columns.get("birth_date", "").removeprefix(f"{join.name}.")
        joined += [one for one in join.kind.sample.columns if one.name == born]
    questions: list[Question] = []
    formats: list[str] = []
    for one in times + joined:
        formats += chosen_formats(one, day_first)
        questions += _time_questions(one, day_first) if one in times else []
        if one in times and one.name != block.columns.get("birth_date"):
            questions += _day_questions(one, block.kind.sample.columns)
    return list(dict.fromkeys(formats)), questions


def chosen_formats(column: Column, day_first: bool | None) -> tuple[str, ...]:
    """The column's formats; of two that fit all of it, the one in the order of days and months of other columns."""
    if not column.other_formats or day_first is None:
        return column.time_formats
    ways = (column.time_formats[0], *column.other_formats)
    first = next((one for one in ways if is_day_first(one) == day_first), column.time_formats[0])
    return (first, *column.time_formats[1:])


def is_day_first(time_format: str) -> bool | None:
    """Whether a day in digits stands before the month; None where a word or the year's place tells."""
    if "%b" in time_format or time_format.startswith("%Y"):
        return None
    return time_format.index("%d") < time_format.index("%m")


def _time_questions(column: Column, day_first: bool | None) -> list[Question]:
    questions = []
    if column.other_formats:
        ways = " or ".join((column.time_formats[0], *column.other_formats))
        told = "" if day_first is None else f" (taken as {chosen_formats(column, day_first)[0]}, as other columns are)"
        questions.append(Question(Weight.VALUES, f"{column.name} may be {ways}; which?{told}"))
    if column.kind == "text":
        questions.append(Question(Weight.ROWS, f"{column.name} holds texts that no known format of times reads, and "
                                               "they go to "
                                  "quarantine; which format are they in? Name it in time_formats"))  # fmt: skip
    elif column.fit_share < 0.9995 and column.kind == "time":
        questions.append(Question(Weight.ROWS, f"{1 - column.fit_share:.1%} of {column.name} are no times, and go to "
                                               "quarantine; "
                                  "what are they?"))  # fmt: skip
    return questions


def _day_questions(column: Column, columns: Sequence[Column]) -> list[Question]:
    """A day without its time, which may stand in another column."""
    if not column.is_day:
        return []
    clocks = [one.name for one in columns if one.is_clock]
    apart = (f"times of day stand in {', '.join(clocks)}, and no setting puts two columns together: can the export?"
             if clocks else "is there a column that says the time?")  # fmt: skip
    return [Question(Weight.VALUES, f"{column.name} says days without a time of day; {apart}")]


def _null_questions(used: Sequence[Column]) -> list[Question]:
    """Words for missing that are common; they are words of a list, not values."""
    named = {word for one in used for word in one.null_texts}
    unsure = sorted(named - _MISSING)
    of = [one.name for one in used if set(one.null_texts) & set(unsure)]
    if not unsure:
        return []
    return [Question(Weight.VALUES, f"{', '.join(of)}: {', '.join(unsure)} is taken to mean missing; is it?")]
