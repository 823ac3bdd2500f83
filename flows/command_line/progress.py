"""How far a run is: bars on a terminal, lines where standard error is a file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.command_line.printing import terminal
from tasks.progress import listening

_SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def shown_progress() -> Iterator[None]:
    """Show on standard error what the flows of the block report."""
    console = terminal(stderr=True)
    if console.is_terminal:
        with _bars(console) as listener, listening(listener):
            yield
    else:
        with listening(progress_lines(lambda line: console.print(line, soft_wrap=True))):
            yield


@contextmanager
def _bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bars:
        steps: dict[str, TaskID] = {}

        def listener(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = bars.add_task(step, total=total)
            bars.update(steps[step], completed=done, total=total)

        yield listener


def progress_lines(
    write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Callable[[str, int, int], None]:
    """A listener that writes a line when a step begins and when it is done, and between them every quarter minute."""
    begun: dict[str, float] = {}
    told: dict[str, float] = {}

    def listener(step: str, done: int, total: int) -> None:
        now = clock()
        if step not in begun and done >= total:
            # Both a step of a night and what it does may say that it is done.
            return
        if step not in begun:
            begun[step] = told[step] = now
            write(f"{step}: begun")
        if done >= total:
            seconds = now - begun.pop(step)
            write(f"{step}: {done} of {total}, {seconds:.1f} s")
        elif now - told[step] >= _SECONDS_BETWEEN_LINES:
            told[step] = now
            write(f"{step}: {done} of {total}, {now - begun[step]:.0f} s so far")

    return listener
