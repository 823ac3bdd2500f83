"""A proposal as the text of a medlstm.toml, with its reasons and questions as comments."""

from collections.abc import Iterable, Sequence

from medlstm.onboarding.form_settings import text_settings
from medlstm.onboarding.proposed_parts import Block, Join
from medlstm.onboarding.toml_text import printable, quoted, written
from medlstm.settings.source import JoinSection


def proposal_text(
    blocks: Sequence[Block], numeric: Sequence[str], categorical: Sequence[str], group: str | None,
    questions: Iterable[str],
) -> str:  # fmt: skip
    """The whole file: questions first, then the settings, each block with the reasons for it."""
    lines = ["# Proposed by `medlstm inspect`. Answer the questions, then see what it does to your files:",
             "# medlstm inspect --try --settings THIS_FILE FILE…", *question_lines(questions), ""]  # fmt: skip
    lines += ["[workspace]", 'timezone = "UTC"', "", "[source]", 'format = "csv"']
    for block in blocks:
        lines += ["", *_block(block)]
    lines += ["", "[features]", f"numeric = {written(list(numeric))}", f"categorical = {written(list(categorical))}"]
    if group:
        lines += ["", "[scoring]", f"group_column = {quoted(group)}"]
    return "\n".join([*lines, ""])


def question_lines(questions: Iterable[str]) -> list[str]:
    return [f"# question {number}: {printable(one)}" for number, one in enumerate(questions, start=1)]


def _block(block: Block) -> list[str]:
    lines = ["[[source.files]]", f"# reason: {printable(block.kind.pattern)}: {block.kind.size()} were looked at"]
    lines += [f"# reason: {printable(one)}" for one in block.reasons]
    lines += [f"pattern = {quoted(block.kind.pattern)}", f"table = {quoted(block.table)}", "columns = "
                                                                                           f"{written(block.columns)}"]
    lines += [f"{key} = {written(value)}" for key, value in block.settings.items()]
    for join in block.joins:
        lines += ["", *_join(join)]
    return lines


def _join(join: Join) -> list[str]:
    lines = ["[[source.files.joins]]", f"name = {quoted(join.name)}", f"pattern = {quoted(join.kind.pattern)}",
             f"on = {written(join.on)}"]  # fmt: skip
    lines += [f"between = {written(join.between)}"] if join.between else []
    lines += [f"keep = {written(join.keep)}"] if join.keep else []
    return lines + [f"{key} = {written(value)}" for key, value in text_settings(join.kind.sample, JoinSection).items()]
