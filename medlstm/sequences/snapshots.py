"""Stays that a snapshot no longer lists.

A feed with `snapshot = true` lists in each delivery everybody who is in. A stay that the next complete snapshot no
longer lists has ended, or was withdrawn, as the mapping says. A snapshot that is not whole says of nobody that he left:
one of which a file or a line cannot be read, that lacks a file, or that lists far fewer stays than usual.
"""

import re
import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath

from medlstm.lake.database import connect
from medlstm.lake.files import Workspace, partitions_until, read_table
from medlstm.lake.partitions import DATED_ROWS_SQL
from medlstm.settings.source import CsvSource, SqlSource, TableMapping
from medlstm.settings.workspace import Config
from medlstm.sources.part_folders import is_part, matches

# A file that came late is named by the date of the folder in which it lies.
_LATE = re.compile(r"^(\d{4}-\d{2}-\d{2})/(.*)$")


@dataclass(frozen=True)
class Feed:
    """A kind of file that lists all stays; `vanished`: what became of a stay that it no longer lists."""

    pattern: str
    vanished: str


@dataclass(frozen=True)
class Snapshot:
    """How much a feed listed on one date, and why nobody may be taken to have left by it, where that is so."""

    day: date
    stays: int
    files: int
    doubt: str | None


@dataclass(frozen=True)
class Listings:
    """Each feed's snapshots that a night may know, oldest first (a delivery without a row is none), and by stay_id and
    feed the date on which the stay was listed last."""

    snapshots: Mapping[Feed, Sequence[Snapshot]]
    last_listed: Mapping[str, Mapping[Feed, date]]


def vanished_stays(listings: Listings) -> dict[str, tuple[date, bool]]:
    """Stays that snapshots no longer list: the first date on which every feed that ever listed the stay had a complete
    snapshot without it, and whether it was withdrawn."""
    complete = {
        feed: [one.day for one in listed if one.doubt is None] for feed, listed in listings.snapshots.items()
    }
    found = {}
    for stay, by_feed in listings.last_listed.items():
        last = max(by_feed.values())
        places = {feed: bisect_right(complete[feed], last) for feed in by_feed}
        if all(place < len(complete[feed]) for feed, place in places.items()):
            day = max(complete[feed][place] for feed, place in places.items())
            found[stay] = (day, any(feed.vanished == "withdrawn" for feed in by_feed))
    return found


def snapshot_warnings(listings: Listings, as_of: date) -> tuple[str, ...]:
    """Feeds whose newest snapshot is not of the night, or not whole."""
    warnings = []
    for feed, listed in listings.snapshots.items():
        newest = listed[-1]
        if newest.day < as_of:
            doubt = f"no snapshot {feed.pattern} since {newest.day}"
        elif newest.doubt is None:
            continue
        else:
            doubt = f"the snapshot {feed.pattern} {newest.doubt}"
        warnings.append(f"{as_of}: {doubt}, so nobody who is not in it counts as gone")
    return tuple(warnings)


def read_listings(workspace: Workspace, as_of: date, config: Config) -> Listings:
    """What the snapshots that the night may know list, in admitted and in quarantined rows: a stay whose row could not
    be read was listed, too."""
    mappings = _mappings(config)
    if not any(feed for _, feed in mappings):
        return Listings({}, {})
    folders = (workspace.admitted("stays"), workspace.quarantine("stays"))
    paths = [[str(path) for path in partitions_until(folder, as_of)] for folder in folders]
    if not any(paths):
        return Listings({}, {})
    feeds = [feed for _, feed in mappings if feed]
    columns = "nullif(trim(stay_id), '') as stay_id, source_file, extract_date"
    parts = [f"select {columns} from ({DATED_ROWS_SQL.replace('$paths', _listed(some))})" for some in paths if some]
    with connect(workspace, config.workspace.memory_limit_gb / 2) as database:
        database.execute(f"create temp view rows as {' union all '.join(parts)}")
        database.execute("create temp table deliveries (source_file text, extract_date date, feed int, day date, "
                         "file text)")
        for name, arrived in database.execute("select distinct source_file, extract_date from rows").fetchall():
            feed, day = _delivery(name, arrived, mappings)
            if feed:
                row = [name, arrived, feeds.index(feed), day, _whole_file(name)]
                database.execute("insert into deliveries values (?, ?, ?, ?, ?)", row)
        listed = "from rows join deliveries using (source_file, extract_date)"
        counts = database.execute(f"select feed, day, count(distinct stay_id), count(distinct file), "
                                  f"bool_or(stay_id is null) {listed} group by feed, day order by day").fetchall()
        last = database.execute(f"select stay_id, feed, max(day) {listed} where stay_id is not null "
                                "group by stay_id, feed").fetchall()  # fmt: skip
    broken = _unreadable(workspace, as_of, mappings)
    snapshots: dict[Feed, list[Snapshot]] = {}
    for number, day, stays, files, nameless in counts:
        feed = feeds[number]
        doubt = "could not be read in full" if nameless or (feed, day) in broken else None
        before = snapshots.setdefault(feed, [])
        before.append(_doubted(Snapshot(day, stays, files, doubt), before[-config.contracts.volume_dates :], config))
    last_listed: dict[str, dict[Feed, date]] = {}
    for stay, number, day in last:
        last_listed.setdefault(stay, {})[feeds[number]] = day
    return Listings(snapshots, last_listed)


def _listed(paths: list[str]) -> str:
    """A list of texts in SQL; a view takes no parameters."""
    quoted = ("'" + path.replace("'", "''") + "'" for path in paths)
    return f"[{', '.join(quoted)}]"


def _doubted(snapshot: Snapshot, before: Sequence[Snapshot], config: Config) -> Snapshot:
    """A snapshot that is far smaller than those before it is not believed."""
    if not before or snapshot.doubt:
        return snapshot
    stays, files = (statistics.median(one) for one in zip(*((each.stays, each.files) for each in before), strict=True))
    if snapshot.stays < config.contracts.min_snapshot_share * stays:
        return replace(snapshot, doubt=f"lists {snapshot.stays} stays, usual are {stays:.0f}")
    if snapshot.files < files:
        return replace(snapshot, doubt=f"has {snapshot.files} files, usual are {files:.0f}")
    return snapshot


def _mappings(config: Config) -> list[tuple[str, Feed | None]]:
    """(pattern, feed) of each mapping of the source in their order, None for those that are no snapshots."""
    source = config.source
    if isinstance(source, CsvSource):
        return [(one.pattern, _feed(one.pattern, one)) for one in source.files]
    if isinstance(source, SqlSource):
        return [(f"{one.name}.parquet", _feed(one.name, one)) for one in source.tables]
    return []


def _feed(name: str, mapping: TableMapping) -> Feed | None:
    return Feed(name, mapping.vanished) if mapping.snapshot else None


def _delivery(source_file: str, arrived: date, mappings: list[tuple[str, Feed | None]]) -> tuple[Feed | None, date]:
    """The feed of a file, and the date of which it tells: one that came late, that of the folder in which it lies."""
    late = _LATE.match(source_file)
    name = late.group(2) if late else source_file
    feed = next((feed for pattern, feed in mappings if matches(name, pattern)), None)
    return feed, date.fromisoformat(late.group(1)) if late else arrived


def _whole_file(source_file: str) -> str:
    """The folder of a part file, of which there may be more or fewer each night."""
    return PurePosixPath(source_file).parts[0] if is_part(source_file) else source_file


def _unreadable(
    workspace: Workspace, as_of: date, mappings: list[tuple[str, Feed | None]]
) -> set[tuple[Feed | None, date]]:
    files = (row for path in partitions_until(workspace.quarantine("files"), as_of)
             for row in read_table(path).to_pylist())  # fmt: skip
    return {_delivery(row["source_file"], row["extract_date"], mappings) for row in files}
