"""Which of two files of one date is the later one: the natural order of their names.

Numbers within a name count as numbers (stays_9.csv before stays_10.csv), upper and lower case alike, endings such as
.csv.gz do not matter (stays.csv before stays-2.csv.gz), and what came late for an earlier date, whose name begins with
that date's folder, comes before the date's own files.
"""

import re
from collections.abc import Iterable

_ENDING = r"(\.(csv|tsv|txt|json|jsonl|ndjson|parquet))?(\.(gz|zst))?$"
_LATE = r"^\d{4}-\d{2}-\d{2}/"
_DIGITS = 20
# The same order in DuckDB, over a column `source_file`.
_ORDER_SQL = f"""
    not regexp_matches(source_file, '{_LATE}'),
    regexp_replace(regexp_replace(
        regexp_replace(lower(source_file), '{_ENDING}', ''), '(\\d+)', repeat('0', {_DIGITS}) || '\\1', 'g'
    ), '\\d*(\\d{{{_DIGITS}}})', '\\1', 'g'),
    source_file
"""


def file_order(name: str) -> tuple[bool, str, str]:
    """A key to sort names of files by, the latest last."""
    stem = re.sub(_ENDING, "", name.lower(), flags=re.ASCII)
    padded = re.sub(r"\d+", lambda found: found.group()[-_DIGITS:].zfill(_DIGITS), stem, flags=re.ASCII)
    return not re.match(_LATE, name), padded, name


def file_places(names: Iterable[str]) -> dict[str, int]:
    """The place of each of some distinct names in that order, from 0."""
    return {name: place for place, name in enumerate(sorted(names, key=file_order))}


def with_file_place(rows_sql: str) -> str:
    """The rows of a query, with `file_place`: higher where `source_file` is a later file."""
    return f"""
        select rows.*, files.file_place from ({rows_sql}) as rows
        join (
            select source_file, row_number() over (order by {_ORDER_SQL}) as file_place
            from (select distinct source_file from ({rows_sql}))
        ) as files using (source_file)
    """
