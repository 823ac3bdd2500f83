"""What earlier deliveries said of things that later ones refer to, for sources whose deliveries hold only what is new.

Each date's own facts lie in lake/remembered/extract_date=D, made from its files alone and before its raw rows, so that
dates that are taken in side by side find those of all dates before them. A night run again recalls what it recalled.
"""

from datetime import date, timedelta

import pyarrow as pa

from medlstm.ingest.delivered_files import DeliveryPlan
from medlstm.lake.database import connect
from medlstm.lake.files import Workspace, partition_file, partitions_until, read_table, write_table
from medlstm.lake.partitions import DATED_ROWS_SQL
from medlstm.settings.workspace import Config
from medlstm.sources.read_landing import REMEMBERING
from medlstm.sources.source_batch import REMEMBERED_SCHEMA, Recalled

# Results of a stay come late, but not as late as this.
_FORGOTTEN_AFTER_DAYS = 90


def remember(workspace: Workspace, plan: DeliveryPlan | None, config: Config) -> None:
    """Write the facts of a date's files, whose lock is held; what came late for earlier dates is older than its own."""
    source = REMEMBERING.get(config.source.format)
    if plan is None or source is None:
        return
    own, *late = plan.folders
    write_table(source([*late, own], config), partition_file(workspace.remembered, plan.extract_date))


def recall(workspace: Workspace, day: date, config: Config) -> Recalled | None:
    """The newest row of each key before the date, and the date's own; None for a source that remembers nothing."""
    if config.source.format not in REMEMBERING:
        return None
    own = partition_file(workspace.remembered, day)
    rows = read_table(own).select(REMEMBERED_SCHEMA.names) if own.is_file() else REMEMBERED_SCHEMA.empty_table()
    return Recalled(_newest_before(workspace, day, config), rows)


def _newest_before(workspace: Workspace, day: date, config: Config) -> pa.Table:
    paths = partitions_until(workspace.remembered, day - timedelta(days=1))
    if not paths:
        return REMEMBERED_SCHEMA.empty_table()
    query = f"""
        select {", ".join(REMEMBERED_SCHEMA.names)} from (
            select *, row_number() over (partition by kind, key order by extract_date desc, place desc) as version
            from ({DATED_ROWS_SQL})
        )
        where (version = 1 or key is null) and coalesce(settled_on >= $since, true)
        order by extract_date, place
    """
    since = (day - timedelta(days=_FORGOTTEN_AFTER_DAYS)).isoformat()
    with connect(workspace, config.workspace.memory_limit_gb / 2) as database:
        found = database.sql(query, params={"paths": [str(path) for path in paths], "since": since}).to_arrow_table()
    return found.cast(REMEMBERED_SCHEMA)
