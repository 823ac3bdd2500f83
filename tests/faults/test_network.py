"""Nothing of a night talks to another machine: every socket of every process of it stays on the loopback."""

import ipaddress
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from medlstm.synthetic.hospital import simulate_hospital
from tests.conftest import quiet_environment
from tests.flows.conftest import NIGHT, START

# Python's own audit hook, in the command, the embedded server and every other Python process that they start.
_HOOK = """
import os, sys

def _note(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else arguments[1]
        with open(os.environ["MEDLSTM_SOCKET_LOG"], "a") as log:
            log.write(f"{event} {address!r}\\n")

sys.addaudithook(_note)
"""


@pytest.fixture
def hospital(tmp_path):
    root = tmp_path / "hospital"
    root.mkdir()
    template = resources.files("medlstm.settings").joinpath("examples", "demo.toml").read_text("utf-8")
    quick = template.replace("[training]", "[model]\nmembers = 1\n\n[training]\nmax_epochs = 2")
    (root / "medlstm.toml").write_text(quick, encoding="utf-8")
    simulate_hospital(root / "landing", START, 19, 3, timezone="Europe/Berlin", admissions_per_day=20.0)
    return root


def _is_local(address: str) -> bool:
    found = re.search(r"'([^']*)'", address)
    name = found.group(1) if found else address
    if name.startswith("/") or name in ("localhost", "", "None"):
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def test_a_night_on_the_embedded_server_opens_no_socket_beyond_the_loopback(hospital, tmp_path):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(_HOOK)
    log, trace = tmp_path / "sockets.log", tmp_path / "trace.log"
    command = [str(Path(sys.executable).with_name("medlstm")), "nightly", "--as-of", str(NIGHT)]
    if shutil.which("strace"):
        calls = "trace=connect,sendto,sendmsg"
        command = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", calls, "-o", str(trace), *command]
    # Telemetry must be off by the program's own doing, not by this test's environment.
    environment = quiet_environment(tmp_path / "home", PYTHONPATH=str(hooks), MEDLSTM_SOCKET_LOG=str(log))
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "GX_ANALYTICS_ENABLED"):
        del environment[name]
    done = subprocess.run(command, cwd=hospital, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    noted = log.read_text().splitlines()
    assert any("socket.connect" in line for line in noted), "the hook saw not even the embedded server"
    assert [line for line in noted if not _is_local(line.split(" ", 1)[1])] == []
    if trace.exists():
        assert _foreign_addresses(trace.read_text()) == set()


def _foreign_addresses(trace: str) -> set[str]:
    """Internet addresses outside the loopback in strace's lines, of any process, native code included."""
    found = re.findall(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', trace)
    assert found, "strace saw not even the embedded server"
    return {four or six for four, six in found if not ipaddress.ip_address(four or six).is_loopback}


def test_the_check_itself_sees_a_foreign_address():
    line = 'connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = 0'
    assert _foreign_addresses(line) == {"192.0.2.7"}
    assert not _is_local("('192.0.2.7', 443)")
    assert not _is_local("'telemetry.example'")
    assert _is_local("('127.0.0.1', 4200)")
