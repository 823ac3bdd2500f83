import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hypothesis import settings

# Threads that wait for a core which other work has are many times slower than one; set before PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import flows  # noqa: F401  (before Prefect, whose settings are read when it is imported)

# How long an example takes is the machine's matter, not the property's.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def quiet_environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's environment without workspace overrides, with a Prefect home of its own and no telemetry."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDLSTM_", "PREFECT_"))}
    return kept | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "OMP_NUM_THREADS": "1",
        **variables,
    }


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect_api(prefect_home):
    """The address of a real server of this test session, on SQLite in a folder of its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    log = prefect_home / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as stream:
        server = subprocess.Popen(command, env=quiet_environment(prefect_home), stdout=stream, stderr=stream)
    try:
        wait_until_healthy(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_until_healthy(url: str, server: subprocess.Popen, log: Path, timeout_seconds: float = 180) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"no Prefect server after {timeout_seconds} s: {log.read_text()}")


@pytest.fixture(scope="session")
def medlstm(prefect_home):
    """Run the installed command as a user does; returns the completed process."""
    executable = Path(sys.executable).with_name("medlstm")

    def run(*arguments, cwd, timeout=600, **variables):
        environment = quiet_environment(prefect_home, **variables)
        return subprocess.run([str(executable), *map(str, arguments)], env=environment, cwd=cwd, text=True,
                              capture_output=True, timeout=timeout, check=False)  # fmt: skip

    return run


@pytest.fixture(scope="session")
def physionet2012():
    folder = SHARED_DATA / "physionet2012"
    if not folder.is_dir():
        pytest.skip(f"the open data set is not at {folder.parent.name}/{folder.name} beside the checkout")
    return folder
