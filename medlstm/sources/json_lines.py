"""JSON Lines (.jsonl, .ndjson), plain or compressed, in batches."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

SUFFIXES = (".jsonl", ".ndjson")
_MAX_LINE_BYTES = 16 << 20
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)

Line = tuple[int, dict[str, Any] | None, str]


def read_json_lines(path: Path, batch_lines: int) -> Iterator[list[Line]]:
    """Batches of (line number from 1, object, text); the object is None, and the text kept, where a line is none.

    Numbers are kept as text, exactly as received. Blank lines are passed over. Raises OSError for a file that is
    cut off, UnicodeDecodeError never: a line that is not UTF-8 is none.
    """
    batch: list[Line] = []
    with pa.input_stream(str(path), compression="detect") as stream:
        for number, line in enumerate(_lines(stream), start=1):
            if not line.strip():
                continue
            batch.append((number, *_parsed(line)))
            if len(batch) == batch_lines:
                yield batch
                batch = []
    if batch:
        yield batch


def _lines(stream: pa.NativeFile) -> Iterator[bytes]:
    """Lines; of one beyond the limit the beginning alone, which is no JSON."""
    reader = io.BufferedReader(stream, 1 << 20)
    while line := reader.readline(_MAX_LINE_BYTES):
        if len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := reader.readline(_MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            line = line[:1000] + b" ..."
        yield line.removeprefix(b"\xef\xbb\xbf")


def _parsed(line: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        text = line.decode("utf-8").strip()
        content, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        content, text, end = None, "", 0
    if isinstance(content, dict) and end == len(text):
        return content, ""
    return None, line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def flattened(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """(name, text) of each value; objects within are `outer.inner`, lists are JSON text, null and "" are None."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{name}.")
        elif value is None or value == "":
            yield prefix + name, None
        elif isinstance(value, bool):
            yield prefix + name, "true" if value else "false"
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)
