"""Register the deployments of prefect.yaml for one workspace at the server that PREFECT_API_URL names."""

import os
import subprocess
import sys
from pathlib import Path

from prefect.settings import PREFECT_API_URL

from medlstm.errors import ConfigError, MedlstmError
from medlstm.settings.workspace import load_config

WORK_POOL = "medlstm"


def deploy_workspace(workspace: Path, prefect_file: Path) -> None:
    """Create the process work pool if it is not there, then deploy every flow; the schedule is the workspace's own.

    Raises ConfigError without PREFECT_API_URL or without the file, MedlstmError when Prefect refuses.
    """
    if not PREFECT_API_URL.value():
        raise ConfigError("PREFECT_API_URL is not set: name the server, or use `medlstm serve` for one machine")
    if not prefect_file.is_file():
        raise ConfigError(f"{prefect_file}: no such file; run this in a checkout of medlstm")
    config = load_config(workspace)
    environment = os.environ | {
        "MEDLSTM_WORKSPACE": str(workspace),
        "MEDLSTM_CHECKOUT": str(prefect_file.parent),
        "MEDLSTM_CRON": config.schedule.cron,
        "MEDLSTM_TIMEZONE": config.workspace.timezone,
    }
    # The pool has no setting of ours: that it exists already is all that is wanted.
    _prefect(["work-pool", "create", WORK_POOL, "--type", "process", "--overwrite"], environment, prefect_file.parent)
    _prefect(["deploy", "--all", "--prefect-file", str(prefect_file)], environment, prefect_file.parent)


def _prefect(arguments: list[str], environment: dict[str, str], folder: Path) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise MedlstmError(f"`prefect {' '.join(arguments[:2])}` failed: {said}")
