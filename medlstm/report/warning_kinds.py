"""Warnings by kind: one line for what recurs on many dates or in many files, with how often and when."""

import re
from collections.abc import Iterable

_DATED = re.compile(r"^(\d{4}-\d{2}-\d{2}): ")
_NUMBER = re.compile(r"\d+")


def by_kind(warnings: Iterable[str]) -> list[str]:
    """The warnings in the order in which each kind came first; those that differ in numbers alone are one kind."""
    kinds: dict[str, list[str]] = {}
    for warning in warnings:
        kinds.setdefault(_NUMBER.sub("#", warning), []).append(warning)
    return [_as_one(alike) for alike in kinds.values()]


def _as_one(alike: list[str]) -> str:
    if len(alike) == 1:
        return alike[0]
    days = sorted({match.group(1) for match in map(_DATED.match, alike) if match})
    when = f" on {len(days)} dates from {days[0]} to {days[-1]}" if len(days) > 1 else ""
    return f"{len(alike)} times{when}; the last one: {alike[-1]}"
