"""A flow run by a command: how far it is, then what it returned. Imports nothing that is slow to import."""

from collections.abc import Callable
from typing import Any

from flows.command_line.options import print_json
from flows.command_line.printing import terminal


def run_flow(flow: Callable[[], Any], as_json: bool) -> Any:
    """Run a flow, tell on standard error how far it is, then print what it returned."""
    from flows.command_line import summaries
    from flows.command_line.progress import shown_progress

    with shown_progress():
        result = flow()
    summaries.show(result, terminal())
    if as_json:
        print_json(result)
    return result
