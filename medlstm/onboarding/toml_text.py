"""Texts as TOML writes them."""

import re


def inline_table(pairs: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{bare_or_quoted(key)} = {quoted(value)}" for key, value in pairs.items()) + " }"


def bare_or_quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
