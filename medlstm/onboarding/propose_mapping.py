"""A proposed medlstm.toml for files that nobody has described yet: judged by names and by what the data say.

Nothing here shows a value of a row: a proposal names columns, formats and delimiters, and of cells only words of fixed
lists in medlstm (names of variables and units, classes of encounters, sexes).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medlstm.onboarding.choose_tables import Tables, choose_tables
from medlstm.onboarding.file_kinds import file_kinds
from medlstm.onboarding.file_roles import Sheet, sheet_of, variable_columns
from medlstm.onboarding.form_settings import form_settings, is_day_first, with_encoding_of_others
from medlstm.onboarding.keys_between_files import is_unique
from medlstm.onboarding.known_formats import known_format
from medlstm.onboarding.observations_block import Home, left_out, observations_block
from medlstm.onboarding.proposal_text import proposal_text, question_lines
from medlstm.onboarding.proposed_parts import Block, Proposal, Question, Weight
from medlstm.onboarding.sample_file import FileSample, sample_file
from medlstm.onboarding.stays_block import StaysProposal, stays_block


def landing_names(paths: Iterable[Path]) -> dict[str, Path]:
    """The files by the paths that they would have in a landing folder: their names, or where two have the same one
    their paths from the folder that holds them all."""
    files = sorted(paths)
    names = [path.name for path in files]
    if len(set(names)) == len(names):
        return dict(zip(names, files, strict=True))
    shared = os.path.commonpath([str(path.resolve().parent) for path in files])
    return {path.resolve().relative_to(shared).as_posix(): path for path in files}


def inspect_files(paths: Iterable[Path]) -> Proposal:
    """Look at small files whole, at the beginning of large ones, and propose settings; nothing is written."""
    return propose([sample_file(path, name) for name, path in landing_names(paths).items()])


def propose(samples: Sequence[FileSample]) -> Proposal:
    """The proposal for files that have been looked at."""
    problems = [Question(Weight.FIRST, f"{one.name} is left out: {one.problem}") for one in samples if one.problem]
    good = with_encoding_of_others([one for one in samples if not one.problem])
    known = known_format(good)
    if known:
        left = tuple(one.text for one in problems)
        return Proposal("\n".join([*question_lines(left), known]), left)
    tables = choose_tables([sheet_of(kind) for kind in file_kinds(good)])
    stays = [stays_block(sheet, tables.others) for sheet in tables.stays]
    blocks, questions = _blocks(tables, stays)
    day_first = _day_first(good)
    formed = [_with_form(block, day_first) for block in blocks]
    asked = [*problems, *tables.questions, *questions, *_zone(formed)]
    asked += [replace(one, text=f"{block.kind.pattern}: {one.text}") for block in formed for one in block.questions]
    texts = tuple(dict.fromkeys(one.text for one in sorted(asked, key=lambda one: one.weight)))
    numeric = list(dict.fromkeys(name for one in stays for name in one.numeric))
    categorical = list(dict.fromkeys(name for one in stays for name in one.categorical))
    group = next((name for name in ("ward", "specialty", "service") if name in categorical), None)
    return Proposal(proposal_text(formed, numeric, categorical, group, texts), texts)


def _blocks(tables: Tables, stays: Sequence[StaysProposal]) -> tuple[list[Block], list[Question]]:
    """The stays, then the measurements; a file that no block and no join reads is named."""
    questions: list[Question] = []
    if not stays:
        questions.append(Question(Weight.FIRST, "no file looks like stays (an identifier that tells rows apart with an "
                                  "admission time, or a length of stay); which one has them?"))  # fmt: skip
    homes = [Home(sheet, one.block) for sheet, one in zip(tables.stays, stays, strict=True)]
    joined = [sheet for one in stays for sheet in one.joined]
    measured: list[Block] = []
    for sheet in tables.measurements:
        block, its = observations_block(sheet, homes, tables.others)
        joined += its
        if block:
            measured.append(block)
        else:
            questions.append(left_out(sheet))
    questions += [_unread(sheet) for sheet in tables.others if sheet not in joined and sheet.what == "other"]
    return [*(one.block for one in stays), *measured], questions


def _unread(sheet: Sheet) -> Question:
    names = ", ".join(sheet.sample.names())
    return Question(Weight.FIRST if _may_be_results(sheet) else Weight.LOOK,
                    f"{sheet.kind.pattern} is left out: its columns ({names}) tell neither stays nor observations, "
                    "and no "
                    "other file needs them; what is it?")  # fmt: skip


def _may_be_results(sheet: Sheet) -> bool:
    """Numbers with a time, or several rows for everything that the file names."""
    columns = sheet.sample.columns
    repeats = not any(is_unique(sheet.sample, one.name) for one in columns)
    timed = any(one.kind == "time" for one in columns)
    return bool(variable_columns(sheet.sample, sheet.roles)) and (timed or repeats)


def _with_form(block: Block, day_first: bool | None) -> Block:
    form = form_settings(block, day_first)
    return replace(
        block, settings={**form.settings, **block.settings}, reasons=(*block.reasons, *form.reasons),
        questions=(*block.questions, *form.questions),
    )  # fmt: skip


def _day_first(samples: Sequence[FileSample]) -> bool | None:
    """What the dates that can be read in one way only say of the order of days and months; None if they differ."""
    told = {is_day_first(one.time_formats[0]) for sample in samples for one in sample.columns
            if one.time_formats and not one.other_formats} - {None}  # fmt: skip
    return told.pop() if len(told) == 1 else None


def _zone(blocks: Sequence[Block]) -> list[Question]:
    """Times without a zone are of one that only people know."""
    times = ("admitted_at", "observed_at")
    columns: Mapping[str, bool] = {
        f"{block.kind.pattern}: {one.name}": one.has_zone
        for block in blocks for one in block.kind.sample.columns
        if one.kind == "time" and one.name in [block.columns.get(role) for role in times]
    }  # fmt: skip
    without = [name for name, has_zone in columns.items() if not has_zone]
    if not without:
        return []
    mixed = " (others have one)" if len(without) < len(columns) else ""
    return [Question(Weight.VALUES, f"times have no zone{mixed} in {'; '.join(without)}: are they UTC? Otherwise "
                                    "name their "
                     "zone, such as Europe/Berlin, in workspace.timezone")]  # fmt: skip
