"""What a proposal is made of: blocks with their reasons, and questions for a person, the weightiest first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from medlstm.onboarding.file_kinds import FileKind


class Weight(IntEnum):
    """What is at stake: whether outpatients are admitted, or a file of results is left out; rows of a file; what
    values mean; a thing to look at."""

    FIRST = 0
    ROWS = 1
    VALUES = 2
    LOOK = 3


@dataclass(frozen=True)
class Question:
    """A doubt, in words that name columns and never a value of a row."""

    weight: Weight
    text: str


@dataclass(frozen=True)
class Join:
    """One [[source.files.joins]]: columns of another kind of file."""

    name: str
    kind: FileKind
    on: Mapping[str, str]
    between: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One [[source.files]]: `settings` are its further keys in the order in which they are written."""

    kind: FileKind
    table: str
    columns: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    joins: tuple[Join, ...] = ()
    reasons: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


@dataclass
class Draft:
    """A block while it is made."""

    columns: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def ask(self, weight: Weight, text: str) -> None:
        self.questions.append(Question(weight, text))

    def join(self, join: Join, columns: Mapping[str, str], reason: str, questions: tuple[Question, ...]) -> None:
        """Take columns from another kind of file."""
        self.joins.append(join)
        self.columns |= columns
        self.reasons.append(reason)
        self.questions += questions

    def block(self, kind: FileKind, table: str) -> Block:
        return Block(kind, table, self.columns, self.settings, tuple(self.joins), tuple(self.reasons),
                     tuple(self.questions))  # fmt: skip


@dataclass(frozen=True)
class Proposal:
    """`toml`: a whole medlstm.toml for the files; `questions`: what a person has to decide, the weightiest first."""

    toml: str
    questions: tuple[str, ...]
