"""Delimited files with every published column, of rows that tell only some."""

import gzip
from pathlib import Path

from tests.layouts.copies import ONCE, Copies


def write_csv(path: Path, header: str, *rows: dict[str, object], copies: Copies = ONCE) -> None:
    """A file, compressed if its name says so; a column that a row does not tell is empty."""
    names = header.split(",")
    for row in rows:
        assert set(row) <= set(names), set(row) - set(names)
    lines = [header, *(",".join(str(row.get(name, "")) for name in names) for row in copies.of(rows))]
    content = ("\n".join(lines) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
