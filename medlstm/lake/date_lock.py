"""One run at a time for each logical date, by a lock of the operating system that ends with the process."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Literal

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace
from medlstm.lake.format import found_format, mark_format

LockKey = Literal["extract_date", "as_of"]
_POLL_SECONDS = 0.1


class DateLocked(MedlstmError):
    """Another run holds the date."""


@contextmanager
def models_lock(workspace: Workspace, wait_seconds: float = 60) -> Iterator[None]:
    """Hold the list of model versions for the block; raises DateLocked as `date_lock` does."""
    with _held(workspace, "models", wait_seconds):
        yield


@contextmanager
def backtest_lock(workspace: Workspace, name: str, wait_seconds: float = 600) -> Iterator[None]:
    """Hold the outputs of a backtest for the block; raises DateLocked as `date_lock` does."""
    with _held(workspace, f"backtest={name}", wait_seconds):
        yield


@contextmanager
def date_lock(workspace: Workspace, key: LockKey, day: date, wait_seconds: float = 600) -> Iterator[None]:
    """Hold a date for the block. `extract_date` guards its partitions (the core takes it by itself); `as_of` is for a
    whole night, so that a backfill of the same date waits.

    A crash, even a kill, releases it. Not reentrant. Raises DateLocked when another run still holds it after
    `wait_seconds`.
    """
    with _held(workspace, f"{key}={day.isoformat()}", wait_seconds):
        yield


@contextmanager
def date_locks(workspace: Workspace, days: Sequence[date], wait_seconds: float = 600) -> Iterator[None]:
    """Hold the partitions of several extract dates, taken in ascending order so that two runs cannot wait in a ring."""
    with ExitStack() as stack:
        for day in sorted(set(days)):
            stack.enter_context(date_lock(workspace, "extract_date", day, wait_seconds))
        yield


@contextmanager
def lake_lock(workspace: Workspace, wait_seconds: float = 600) -> Iterator[None]:
    """Hold the lake's format for the block; raises DateLocked as `date_lock` does."""
    with _flocked(workspace, "lake", wait_seconds):
        yield


def wait_for_runs(workspace: Workspace, wait_seconds: float = 600) -> None:
    """Return when each run that holds a lock now, but that of the lake, has ended; raises DateLocked where one does
    not."""
    for path in sorted(_folder(workspace).glob("*.lock")):
        if path.stem != "lake":
            with _flocked(workspace, path.stem, wait_seconds):
                pass


@contextmanager
def _held(workspace: Workspace, name: str, wait_seconds: float) -> Iterator[None]:
    """Whatever writes a table holds a lock, so here a new lake gets the mark of its format before its first table."""
    if found_format(workspace) is None:
        with lake_lock(workspace):
            mark_format(workspace)
    with _flocked(workspace, name, wait_seconds):
        yield


def _folder(workspace: Workspace) -> Path:
    return workspace.root / "lake" / ".locks"


@contextmanager
def _flocked(workspace: Workspace, name: str, wait_seconds: float) -> Iterator[None]:
    folder = _folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+", encoding="utf-8") as file:
        _acquire(file, name.replace("=", " "), wait_seconds)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def _acquire(file: IO[str], name: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.seek(0)
                raise DateLocked(
                    f"{name} is held by another run ({file.read() or 'unknown process'}); wait for it to end, or end "
                    "it, and run this again"
                ) from None
            time.sleep(_POLL_SECONDS)
