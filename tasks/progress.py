"""How far a long step is, told to whoever started the flow in this process and wants to know."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener(step, done, total)` for every progress report within the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report_progress(step: str, done: int, total: int) -> None:
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener:
        listener(step, done, total)
