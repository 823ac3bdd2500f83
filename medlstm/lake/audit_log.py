"""An append-only record of who wrote what from what: one JSON line for each change of the lake."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from medlstm.lake.files import Workspace, WrittenFile

Event = Literal["ingest", "validate", "stop", "release", "upgrade", "build"]


@dataclass(frozen=True)
class SourceFile:
    """A file that was read: its name within the landing folder of `landing_date`, size, and SHA-256 of its bytes."""

    landing_date: date
    name: str
    bytes: int
    sha256: str


def this_process() -> str:
    """The name of a run that was given none."""
    return f"process {os.getpid()}"


def append_audit(
    workspace: Workspace,
    event: Event,
    extract_date: date,
    run: str,
    written: Sequence[WrittenFile] = (),
    files: Sequence[SourceFile] = (),
    detail: dict[str, Any] | None = None,
) -> None:
    """Add a line to lake/audit.jsonl and fsync it. Lines are never changed; a torn one (a kill) is closed first."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "run": run,
        "event": event,
        "extract_date": extract_date.isoformat(),
        "written": [vars(one) | {"path": one.path.relative_to(workspace.root).as_posix()} for one in written],
        "files": [vars(one) | {"landing_date": one.landing_date.isoformat()} for one in files],
        **(detail or {}),
    }
    workspace.audit.parent.mkdir(parents=True, exist_ok=True)
    with workspace.audit.open("ab+") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        end = log.seek(0, os.SEEK_END)
        torn = b""
        if end:
            log.seek(end - 1)
            torn = b"" if log.read(1) == b"\n" else b"\n"
        log.write(torn + json.dumps(line, sort_keys=True).encode() + b"\n")
        log.flush()
        os.fsync(log.fileno())


def read_audit(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """The lines, oldest first, without those that a kill tore."""
    if not workspace.audit.is_file():
        return
    with workspace.audit.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue
