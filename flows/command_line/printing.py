"""Tables for a person; imports nothing that is slow to import."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1, title: str | None = None
) -> Table:
    """A table whose first `text_columns` columns are text and the others numbers."""
    made = Table(title=title, title_justify="left")
    for index, name in enumerate(heading):
        made.add_column(Text(printable(name)), justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def narrow_table(heading: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> Table:
    """As `table`, with as little as can be between its columns, for many of them."""
    made = table(heading, rows, title=title)
    made.box, made.show_edge, made.pad_edge = box.SIMPLE_HEAD, False, False
    return made


def terminal(stderr: bool = False) -> Console:
    """Where a person reads. Brackets and colons of names, paths and messages are text, never markup."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def printable(text: str) -> str:
    """Text of files and of configurations without the control characters that a terminal would act on."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def text(value: Any) -> str:
    """A cell: whole numbers with thousands apart."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
