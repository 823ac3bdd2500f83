"""FHIR files line by line: NDJSON, or one JSON document over many lines, as Synthea and queries write a Bundle."""

from collections.abc import Iterator
from pathlib import Path

from medlstm.sources.json_lines import Line, parsed_document, read_json_lines
from medlstm.sources.text_stream import opened

_DOCUMENT = ".json"


def read_resources(path: Path, batch_lines: int) -> Iterator[list[Line]]:
    """Batches as `read_json_lines` gives them; a `.json` file that is one document is a single line, held in memory.

    Raises OSError for a file that is cut off.
    """
    if path.name.lower().removesuffix(".gz").removesuffix(".zst").endswith(_DOCUMENT):
        first = next(read_json_lines(path, 1), None)
        if first and first[0][1] is None:
            with opened(path) as stream:
                document = parsed_document(stream.read())
            if document is not None:
                yield [(1, document, "")]
                return
    yield from read_json_lines(path, batch_lines)
