"""One file's asked-for columns as text, batch by batch, whatever kind of file it is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from medlstm.settings.source import CsvFileMapping, JoinSection
from medlstm.sources import delimited, json_lines, parquet_columns
from medlstm.sources.asked_columns import AskedColumns
from medlstm.sources.file_kinds import DELIMITED, JSON_LINES, kind_of
from medlstm.sources.mapping import Received
from medlstm.sources.part_folders import folder_columns, is_of_delta_table, is_part
from medlstm.values.text_columns import UnfitFileError


def read_columns(
    path: Path, name: str, asked: AskedColumns, form: CsvFileMapping | JoinSection
) -> Iterator[Received]:
    """Rows of the file `path`, called `name` within its landing folder, with the columns that its folders stand for.

    At least one batch, so that a file with a header alone is held against the mapping; an empty part of a table of
    many has none. Raises UnfitFileError, and what the parsers raise.
    """
    if is_of_delta_table(path, name):
        raise UnfitFileError("part of a Delta table, whose log may have deleted its rows; export it as plain Parquet")
    if is_part(name) and not path.stat().st_size:
        return
    match kind_of(name):
        case "parquet":
            batches = parquet_columns.read_parquet(path, asked)
        case "json_lines":
            batches = json_lines.read_objects(path, asked)
        case "delimited":
            batches = delimited.read_delimited(path, asked, form)
        case None:
            raise UnfitFileError(
                f"neither {', '.join((*DELIMITED, *JSON_LINES))} (also .gz or .zst) nor .parquet; narrow the "
                "pattern or convert the file"
            )
    texts = folder_columns(name)
    yield from (_with_columns(batch, texts, asked) for batch in batches)


def _with_columns(batch: Received, texts: dict[str, str | None], asked: AskedColumns) -> Received:
    """A column that the file has itself is its own."""
    header, columns = list(batch.header), batch.columns
    for name, text in texts.items():
        if name in asked.names and name not in header:
            header.append(name)
            columns = columns.append_column(name, pa.repeat(pa.scalar(text, pa.string()), len(batch.numbers)))
    return replace(batch, header=header, columns=columns)


def why_unreadable(error: Exception) -> str:
    """Why a file gave no more rows, without any of its values: parsers quote what they trip over."""
    if isinstance(error, UnfitFileError):
        return str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "not UTF-8 text; export it as UTF-8"
    if "straddling" in str(error):
        return f"a row is longer than {delimited.BLOCK_BYTES >> 20} MB; is a quote never closed?"
    return f"cannot be read as its name says ({type(error).__name__}); is it complete?"
