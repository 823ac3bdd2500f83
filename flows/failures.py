"""Why a run failed, in medlstm's words rather than the engine's."""

from typing import Any

from prefect.client.schemas.objects import State

from medlstm.errors import MedlstmError


def failure_text(state: State[Any]) -> str:
    """What the run itself said; of a failure that nobody foresaw the kind alone, as its text may quote a row."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, MedlstmError | OSError):
        return str(error)
    if isinstance(error, Exception):
        return f"an unexpected {type(error).__name__}; the run's log has where"
    return f"it is {state.name}; the run's log has more"
