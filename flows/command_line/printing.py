"""Tables for a person, plain data for a program; imports nothing that is slow to import."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from typing import Any

from rich.table import Table


def plain(value: Any) -> Any:
    """Dataclasses, dates and tuples as what JSON knows; infinite or undefined numbers as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


def table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1, title: str | None = None
) -> Table:
    """A table whose first `text_columns` columns are text and the others numbers."""
    made = Table(title=title, title_justify="left")
    for index, name in enumerate(heading):
        made.add_column(name, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def text(value: Any) -> str:
    """A cell: whole numbers with thousands apart."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
