"""Values within a FHIR resource, whatever shape it is in."""

from typing import Any


def at(content: Any, *path: str | int) -> Any:
    """The value at a path of names and list places, None where the path leads nowhere."""
    for part in path:
        if isinstance(content, dict):
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            return None
    return content


def text(content: Any, *path: str | int) -> str | None:
    """As `at`, if there is a text that is not blank."""
    found = at(content, *path)
    return found if isinstance(found, str) and found.strip() else None


def items(content: Any, *path: str | int) -> list[Any]:
    """As `at`, if there is a list; else an empty one."""
    found = at(content, *path)
    return found if isinstance(found, list) else []


def each(content: Any, *path: str | int) -> list[Any]:
    """As `at`: what is in the list there, or the one thing that stands in its place; nothing for None."""
    found = at(content, *path)
    return found if isinstance(found, list) else [] if found is None else [found]
