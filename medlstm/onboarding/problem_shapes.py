"""The quarantine of a date as shapes of problems by count: digits as 9, letters as a, and never a value."""

from dataclasses import dataclass
from datetime import date

from medlstm.lake.database import connect
from medlstm.lake.files import Workspace, partition_file, table_schema
from medlstm.lake.schemas import PROVENANCE, TABLES

MOST_SHAPES = 10
# Rules about texts that could not be read: what such a text looks like says how to read it.
_UNREAD = ("not_a_timestamp", "not_a_number", "not_a_boolean")
_LONGEST = 24


@dataclass(frozen=True)
class ProblemShape:
    """`shape`: what the unreadable texts look like, where the rule is about one."""

    table: str
    rule: str
    reason: str
    shape: str | None
    rows: int


def problem_shapes(workspace: Workspace, day: date) -> tuple[ProblemShape, ...]:
    """The ten most frequent problems of a date's quarantined rows."""
    found: list[ProblemShape] = []
    with connect(workspace) as database:
        for table in TABLES:
            path = partition_file(workspace.quarantine(table), day)
            texts = [name for name in table_schema(path).names if name not in {one.name for one in PROVENANCE}]
            rows = database.execute(_query(texts), {"path": str(path), "unread": list(_UNREAD)}).fetchall()
            found += [ProblemShape(table, *row) for row in rows]
    return tuple(sorted(found, key=lambda one: -one.rows)[:MOST_SHAPES])


def _query(columns: list[str]) -> str:
    """Counts by rule, first reason and shape; a reason begins with the column that it is about."""
    text = " ".join(f"when '{name}' then \"{name}\"" for name in columns if name not in ("rule", "reason"))
    shape = _shape_sql(f"case named {text} end")
    return f"""
        with told as (
            select rule, split_part(reason, '; ', 1) as reason, split_part(reason, ':', 1) as named,
                * exclude (rule, reason)
            from read_parquet($path, hive_partitioning = false)
        )
        select rule, reason, case when list_contains($unread, rule) then {shape} end as shape, count(*) as rows
        from told group by all order by rows desc, rule, reason, shape limit {MOST_SHAPES}
    """


def _shape_sql(text: str) -> str:
    """Letters as a, digits as 9 (five and more as 9+), blanks and punctuation of numbers and times as they are."""
    letters = rf"regexp_replace({text}, '[\p{{L}}]+', 'a', 'g')"
    digits = r"regexp_replace(regexp_replace(" + letters + r", '[0-9]', '9', 'g'), '9{5,}', '9+', 'g')"
    return rf"left(regexp_replace({digits}, '[^a9+., :/<>=%-]', '?', 'g'), {_LONGEST})"
