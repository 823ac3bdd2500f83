"""Which files belong to which extract date, so that what a past night knew stays what it knew.

The files of landing/D are taken in as extract date D by the first night that sees them, as long as no later date has
been taken in. From then on D is closed: a file that appears in, or changes within, a closed folder arrives with the
next night, whatever its folder says, and belongs to that night's extract date (its `source_file` begins with its
folder's date). So a night run again, or a backfill years later, reads the same files as the night did; what came late
corrects only the nights after it came. Each date's files are recorded, with their SHA-256 hashes, in
lake/deliveries/extract_date=D.json.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from medlstm.errors import LandingError
from medlstm.lake.audit_log import SourceFile
from medlstm.lake.files import Workspace, read_json, sha256_of, write_json
from medlstm.sources.read_landing import list_landing
from medlstm.sources.source_batch import LandingFolder

_PREFIX = "extract_date="


@dataclass(frozen=True)
class DeliveredFile:
    """A file as it was read. One whose size and time of change are as they were is taken to be unchanged."""

    source: SourceFile
    modified_ns: int


@dataclass(frozen=True)
class Delivery:
    """What was taken in as one extract date: the files, the SHA-256 of each raw and reference partition made from them,
    by table, and how many rows the configuration had left out, by its reason."""

    extract_date: date
    files: tuple[DeliveredFile, ...]
    raw: dict[str, str]
    left_out: dict[str, int] = field(default_factory=dict)
    reference: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeliveryPlan:
    """The landing folders to read for an extract date: its own first, then files that came late for earlier ones."""

    extract_date: date
    folders: tuple[LandingFolder, ...]


def _file(workspace: Workspace, day: date) -> Path:
    return workspace.deliveries / f"{_PREFIX}{day.isoformat()}.json"


def read_delivery(workspace: Workspace, day: date) -> Delivery | None:
    """The record of an extract date, None where nothing was taken in."""
    path = _file(workspace, day)
    if not path.is_file():
        return None
    raw: dict[str, Any] = read_json(path)
    files = tuple(
        DeliveredFile(
            SourceFile(date.fromisoformat(one["landing_date"]), one["name"], one["bytes"], one["sha256"]),
            one["modified_ns"],
        )
        for one in raw["files"]
    )
    return Delivery(day, files, raw["raw"], raw.get("left_out", {}), raw.get("reference", {}))


def write_delivery(workspace: Workspace, delivery: Delivery) -> None:
    """Record an extract date; this marks it as taken in."""
    files = [
        {
            "landing_date": one.source.landing_date.isoformat(),
            "name": one.source.name,
            "bytes": one.source.bytes,
            "sha256": one.source.sha256,
            "modified_ns": one.modified_ns,
        }
        for one in delivery.files
    ]
    path = _file(workspace, delivery.extract_date)
    # A record of ten thousand files: one line is written ten times as fast as many.
    kept = {"reference": delivery.reference} if delivery.reference else {}
    write_json({"files": files, "raw": delivery.raw, "left_out": delivery.left_out, **kept}, path, indent=None)


def delivered_dates(workspace: Workspace) -> list[date]:
    """The extract dates that were taken in, oldest first."""
    names = (path.stem for path in workspace.deliveries.glob(f"{_PREFIX}*.json"))
    return sorted(date.fromisoformat(name.removeprefix(_PREFIX)) for name in names)


def landing_dates(workspace: Workspace) -> list[date]:
    """The dates that have a landing folder, oldest first."""
    folder = workspace.root / "landing"
    days = []
    for child in folder.iterdir() if folder.is_dir() else ():
        try:
            days.append(date.fromisoformat(child.name))
        except ValueError:
            continue
    return sorted(days)


def plan_delivery(
    workspace: Workspace, day: date, late: bool = True, reopen: bool = False, beside: Collection[date] = ()
) -> DeliveryPlan | None:
    """What to read for an extract date, None where its raw partitions must stay as they are: the date is closed and
    its files are no longer what they were.

    `late`: also the files that came late for closed dates, but for those that are planned `beside` this one. `reopen`
    reads the folder of a closed date as it is now, which changes what later nights knew. Raises LandingError for a
    closed date of which nothing was taken in.
    """
    delivered = delivered_dates(workspace)
    own = workspace.landing(day)
    if reopen or not delivered or delivered[-1] <= day:
        others = _late(workspace, day, delivered, beside) if late and not reopen else []
        return DeliveryPlan(day, (list_landing(own, day), *others))
    recorded = read_delivery(workspace, day)
    if recorded is None:
        raise LandingError(
            f"{own}: nothing of {day} had been delivered when {delivered[-1]} was taken in, so that this night knows "
            "nothing; its files, if there are any, belong to the next night. A night before the date of a whole export "
            "cannot be run: `medlstm bootstrap` tells what such nights would have said, and `medlstm replay workspace` "
            "makes a drop for each of its dates"
        )
    if not all(_is_unchanged(workspace.landing(one.source.landing_date) / one.source.name, one)
               for one in recorded.files):  # fmt: skip
        return None
    by_folder: dict[date, list[Path]] = {day: []}
    for one in recorded.files:
        place = workspace.landing(one.source.landing_date)
        by_folder.setdefault(one.source.landing_date, []).append(place / one.source.name)
    return DeliveryPlan(
        day,
        tuple(LandingFolder(workspace.landing(one), one, tuple(sorted(paths))) for one, paths in by_folder.items()),
    )


def _late(workspace: Workspace, day: date, delivered: list[date], beside: Collection[date]) -> list[LandingFolder]:
    """Files in folders of closed dates that no other extract date holds."""
    closed = [one for one in delivered if one < day]
    known: dict[tuple[date, str], list[DeliveredFile]] = {}
    for other in closed:
        record = read_delivery(workspace, other)
        for one in record.files if record else ():
            known.setdefault((one.source.landing_date, one.source.name), []).append(one)
    folders = []
    for landing_date in landing_dates(workspace):
        if not closed or landing_date > closed[-1] or landing_date in beside:
            continue
        folder = list_landing(workspace.landing(landing_date), landing_date)
        late = [
            path
            for path in folder.files
            if not any(_is_unchanged(path, one) for one in known.get((landing_date, folder.name(path)), []))
        ]
        if late:
            folders.append(LandingFolder(folder.folder, landing_date, tuple(late)))
    return folders


def _is_unchanged(path: Path, file: DeliveredFile) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if found.st_size != file.source.bytes:
        return False
    return found.st_mtime_ns == file.modified_ns or sha256_of(path) == file.source.sha256


def delivered_files(plan: DeliveryPlan) -> tuple[DeliveredFile, ...]:
    """Every file of the plan with its hash."""
    found = []
    for folder in plan.folders:
        for path in folder.files:
            stat = path.stat()
            source = SourceFile(folder.extract_date, folder.name(path), stat.st_size, sha256_of(path))
            found.append(DeliveredFile(source, stat.st_mtime_ns))
    return tuple(found)
