"""What a file is by its name, whatever the case of its letters."""

from typing import Literal

Kind = Literal["delimited", "json_lines", "parquet"]
DELIMITED = (".csv", ".tsv", ".txt")
JSON_LINES = (".jsonl", ".ndjson", ".json")
_PARQUET = ".parquet"
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def compression(name: str) -> str | None:
    """How a file is compressed, as Arrow calls it."""
    return next((found for ending, found in _COMPRESSIONS.items() if name.lower().endswith(ending)), None)


def kind_of(name: str) -> Kind | None:
    """How a file is read, None where its name does not tell."""
    lowered = name.lower()
    if lowered.endswith(_PARQUET):
        return "parquet"
    for ending in _COMPRESSIONS:
        lowered = lowered.removesuffix(ending)
    if lowered.endswith(DELIMITED):
        return "delimited"
    return "json_lines" if lowered.endswith(JSON_LINES) else None
