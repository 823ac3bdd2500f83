"""Kill a run in a process of its own, run it again, and compare what is there with what a whole run leaves."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Run = Callable[[Path], None]


def die_before(change: int, root: Path) -> None:
    """Let this process kill itself where it is about to create, rename or remove its n-th name below `root`, or to
    open its n-th file for writing. Parquet files are filled by C++ code unseen, but under temporary names alone."""
    changes = itertools.count()

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir") or (
            event == "open" and isinstance(arguments[1], str) and arguments[1] not in ("r", "rb")
        )
        if writes and str(arguments[0]).startswith(str(root)) and next(changes) == change:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def forked(
    run: Run, root: Path, kill_after_seconds: float | None = None, kill_before_change: int | None = None
) -> tuple[float, bool]:
    """Seconds of the run, and whether it was killed before its end."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if kill_before_change is not None:
                die_before(kill_before_change, root)
            run(root)
            code = 0
        finally:
            os._exit(code)
    if kill_after_seconds is not None:
        time.sleep(kill_after_seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    if not killed and os.WEXITSTATUS(status):
        raise SystemExit(f"the run failed with status {os.WEXITSTATUS(status)}")
    return time.monotonic() - started, killed


def nothing(root: Path) -> None:
    """What happens in a workspace between two runs."""


class Kills:
    """Each kill is in a fresh copy of `start`, of a first run or of one `again` after a whole run and a `change`.
    `results` are the files of a workspace that a rerun must leave equal."""

    def __init__(
        self, base: Path, start: Path, run: Run, results: Callable[[Path], dict[str, bytes]], change: Run = nothing
    ) -> None:
        self.base, self.start, self.run, self.results, self.change = base, start, run, results, change
        whole = base / "whole"
        shutil.copytree(start, whole)
        forked(run, whole)
        self.expected = {False: results(whole)}
        shutil.copytree(start, base / "timed")
        self.seconds, _ = forked(run, base / "timed")
        change(whole)
        self.changed = base / "changed"
        shutil.copytree(whole, self.changed)
        forked(run, whole)
        self.expected[True] = results(whole)
        self.found: dict[str, list[str]] = {"different": [], "unsound": [], "left_over": [], "killed": []}

    def kill(
        self, name: str, again: bool, after_seconds: float | None = None, before_change: int | None = None
    ) -> bool:
        """Whether the run was killed before its end."""
        root = self.base / "killed"
        shutil.copytree(self.changed if again else self.start, root)
        _, killed = forked(self.run, root, after_seconds, before_change)
        if killed:
            self.found["killed"].append(name)
        self.found["unsound"] += [f"{name}: {one}" for one in _unsound(root)]
        forked(self.run, root)
        results = self.results(root)
        expected = self.expected[again]
        wrong = sorted(one for one in {*results, *expected} if results.get(one) != expected.get(one))
        if wrong:
            self.found["different"].append(f"{name}: {', '.join(wrong)}")
        self.found["left_over"] += [f"{name}: {path.relative_to(root)}" for path in root.rglob("*.tmp")]
        shutil.rmtree(root)
        return killed

    def before_each_change(self) -> int:
        """Kill a first run, and one that replaces what is there, before every single change; how many there were."""
        before = len(self.found["killed"])
        for again in (False, True):
            number = 0
            while self.kill(f"before change {number}, again={again}", again, before_change=number):
                number += 1
        return len(self.found["killed"]) - before


def _unsound(root: Path) -> list[str]:
    """Files that a reader could trip over."""
    found = []
    for path in (root / "lake").rglob("*.parquet"):
        try:
            pq.ParquetFile(path).read()
        except Exception as error:
            found.append(f"{path.relative_to(root)}: {error}")
    return found


def found_by(module: str, *arguments: str) -> dict[str, Any]:
    """What the module of this folder printed last, run in a process of its own."""
    command = [sys.executable, "-m", f"tests.faults.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))
