"""The `medlstm` command as a user types it, in a process of its own."""

import os
import subprocess
import sys


def medlstm(*arguments: object) -> str:
    """What the command wrote to standard output; its progress goes to standard error. Raises CalledProcessError."""
    return subprocess.run(
        [sys.executable, "-m", "flows.command_line.app", *(str(one) for one in arguments)], check=True,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PREFECT_LOGGING_LEVEL": "WARNING"},
    ).stdout  # fmt: skip
