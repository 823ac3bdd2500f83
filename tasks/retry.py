"""Which failures are worth another attempt."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun


def is_io_failure(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """A failed read or write may pass; a failure of the data or of the configuration will not."""
    return isinstance(state.result(raise_on_failure=False), OSError)
