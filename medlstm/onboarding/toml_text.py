"""Texts as TOML writes them."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Setting: TypeAlias = str | bool | float | Sequence[str] | Mapping[str, "Setting"]


def written(value: Setting) -> str:
    """The value on one line: a string, a boolean, a number, an array, an inline table of any of these."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return quoted(value)
        case Mapping():
            pairs = ", ".join(f"{bare_or_quoted(key)} = {written(one)}" for key, one in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            return f"[{', '.join(map(quoted, value))}]"


def bare_or_quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
