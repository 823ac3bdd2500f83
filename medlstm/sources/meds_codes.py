"""What the codes of a MEDS dataset mean here, by the patterns of the configuration."""

import re
from dataclasses import dataclass
from fnmatch import translate

from medlstm.settings.source import MedsSource

ADMISSION, DISCHARGE, BIRTH, DEATH = "admission", "discharge", "birth", "death"


@dataclass(frozen=True)
class Meaning:
    """`role` is one of the constants above, "variable" or "static"; `name` the variable or feature; `text` what a
    static's pattern says by its last *."""

    role: str
    name: str = ""
    text: str | None = None


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    tail: re.Pattern[str]
    role: str
    name: str


class CodeBook:
    """Codes to meanings; each distinct code is looked up once."""

    def __init__(self, source: MedsSource, parents: dict[str, list[str]]) -> None:
        named = [(DISCHARGE, "", one) for one in source.discharge] + [(ADMISSION, "", one) for one in source.admission]
        named += [(BIRTH, "", source.birth), (DEATH, "", source.death)]
        named += [("static", feature, one) for feature, patterns in source.statics.items() for one in patterns]
        named += [("variable", variable, pattern) for pattern, variable in source.variables.items()]
        self._rules = [_Rule(re.compile(translate(pattern)), _tail(pattern), role, name)
                       for role, name, pattern in named]  # fmt: skip
        self._parents = parents
        self._known: dict[str, Meaning | None] = {}

    def meaning(self, code: str) -> Meaning | None:
        """By the code itself, else by the first of its parents that fits a pattern."""
        if code not in self._known:
            found = (self._by_rules(one) for one in (code, *self._parents.get(code, [])))
            self._known[code] = next((one for one in found if one), None)
        return self._known[code]

    def _by_rules(self, code: str) -> Meaning | None:
        for rule in self._rules:
            if rule.pattern.match(code):
                tail = rule.tail.match(code)
                return Meaning(rule.role, rule.name, (tail.group(1) or None) if tail else None)
        return None


def _tail(pattern: str) -> re.Pattern[str]:
    """The pattern with a group for what its last * stands for; with no *, the whole code."""
    if "*" not in pattern:
        return re.compile("(.*)")
    head, _, rest = pattern.rpartition("*")
    return re.compile(_inner(head) + "(.*)" + _inner(rest) + r"\Z", re.DOTALL)


def _inner(pattern: str) -> str:
    return translate(pattern).removeprefix("(?s:").removesuffix(r")\Z")
