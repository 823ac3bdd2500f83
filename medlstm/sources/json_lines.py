"""JSON Lines (.jsonl, .ndjson, .json), plain or compressed, in batches."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from medlstm.sources.asked_columns import AskedColumns
from medlstm.sources.mapping import Received
from medlstm.sources.source_batch import BATCH_ROWS
from medlstm.sources.text_stream import opened
from medlstm.values.identifiers import plain_identifiers
from medlstm.values.text_columns import UnfitFileError

SUFFIXES = (".jsonl", ".ndjson")
_MAX_LINE_BYTES = 16 << 20


class JsonNumber(str):
    """A number's text as it stands in the file, told apart from a string."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber)

Line = tuple[int, dict[str, Any] | None, str]


def read_objects(path: Path, asked: AskedColumns) -> Iterator[Received]:
    """Objects as rows; the columns are the names that any object of the first batch has, and any other one later.

    A key that may be left out is null in every row until one has it. Raises UnfitFileError for a JSON array, OSError.
    """
    header: list[str] = []
    seen: set[str] = set()
    rows_read = 0
    for batch in read_json_lines(path, BATCH_ROWS // 4):
        if not rows_read and batch[0][1] is None and batch[0][2].lstrip("\ufeff \t").startswith("["):
            raise UnfitFileError("one JSON array, not JSON Lines; write each object on a line of its own")
        rows = [(number, dict(flattened(content))) for number, content, _ in batch if content is not None]
        names = dict.fromkeys(name for _, row in rows for name in row)
        seen |= names.keys()
        header = list(dict.fromkeys([*header, *names, *sorted(asked.optional)]))
        columns = {name: _texts([row.get(name) for _, row in rows], name, asked) for name in header
                   if name in asked.names}  # fmt: skip
        table = pa.table(columns) if columns else pa.table({"": pa.nulls(len(rows), pa.string())})
        numbers = np.array([number for number, _ in rows], dtype=np.int64)
        rows_read += len(batch)
        unparsed = [(number, text) for number, content, text in batch if content is None]
        yield Received(header, table, numbers, unparsed)
    absent = sorted(asked.optional - seen) if rows_read else []
    if absent:
        told = f"have no key {', '.join(absent)}, as no line of the file has: missing in all of them"
        yield Received(header, table.slice(0, 0), numbers[:0], [], {told: rows_read})


def _texts(values: list[str | None], name: str, asked: AskedColumns) -> pa.Array:
    if name in asked.comma_numbers:
        values = [one.replace(".", ",") if isinstance(one, JsonNumber) else one for one in values]
    texts = pa.array(values, pa.string())
    return plain_identifiers(texts) if name in asked.identifiers else texts


def read_json_lines(path: Path, batch_lines: int) -> Iterator[list[Line]]:
    """Batches of (line number from 1, object, text); the object is None, and the text kept, where a line is none.

    Numbers are kept as text, exactly as received. Blank lines are passed over. Raises OSError for a file that is
    cut off, UnicodeDecodeError never: a line that is not UTF-8 is none.
    """
    batch: list[Line] = []
    with opened(path) as stream:
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


def parsed_document(content: bytes) -> dict[str, Any] | None:
    """The object that is all of a file's bytes, numbers kept as text; None where they are no object."""
    return _parsed(content.removeprefix(b"\xef\xbb\xbf"))[0]


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
