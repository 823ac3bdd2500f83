"""Server, schedule and worker on this machine, until it is stopped."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from prefect import aserve
from prefect.schedules import Cron, Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.backfill import backfill
from flows.nightly import nightly
from medlstm.errors import ConfigError, MedlstmError
from medlstm.settings.workspace import load_config

_STARTUP_SECONDS = 180


def serve_nightly(workspace: Path, host: str, port: int) -> None:
    """Register the nightly on the workspace's cron and time zone and the backfill without one; run what is due.

    One run at a time, so that a backfill and the night take turns.
    Starts a server first, unless PREFECT_API_URL names one; raises MedlstmError if it does not start.
    """
    config = load_config(workspace)
    schedule = Cron(config.schedule.cron, timezone=config.workspace.timezone)
    if PREFECT_API_URL.value():
        asyncio.run(_serve_deployments(workspace, schedule))
        return
    _require_free_port(host, port)
    api = f"http://{host}:{port}/api"
    # The server and each run's own process read the address from the environment, this process from its settings.
    os.environ["PREFECT_API_URL"] = api
    server = subprocess.Popen([sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)])
    try:
        _wait_until_healthy(server, api)
        with temporary_settings({PREFECT_API_URL: api}):
            asyncio.run(_serve_deployments(workspace, schedule))
    finally:
        server.terminate()
        server.wait(timeout=60)


def _require_free_port(host: str, port: int) -> None:
    """Another server on the port would answer in place of ours, with its own runs."""
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise ConfigError(
                f"{host}:{port} is taken; choose another --port, or set PREFECT_API_URL to use the server there"
            )


async def _serve_deployments(workspace: Path, schedule: Schedule) -> None:
    parameters = {"workspace": str(workspace)}
    await aserve(
        await nightly.ato_deployment("nightly", schedule=schedule, parameters=parameters),
        await backfill.ato_deployment("backfill", parameters=parameters),
        limit=1,
    )


def _wait_until_healthy(server: subprocess.Popen[bytes], api: str) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise MedlstmError(f"the Prefect server ended with status {server.returncode}; is its port taken?")
        try:
            if httpx.get(f"{api}/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise MedlstmError(f"the Prefect server did not answer within {_STARTUP_SECONDS} s")
