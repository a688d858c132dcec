"""A real Prefect server without a password, which other machines reach: refused, unless told otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from foreign_servers import address, prefect_of, serving

if TYPE_CHECKING:
    from conftest import Launch

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def open_port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """Port of a server that listens everywhere and asks for nothing."""
    folder = tmp_path_factory.mktemp("open")
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = int(probe.getsockname()[1])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "0.0.0.0", "--port", str(port), "--no-ui"],
            env=clean | {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/api/health", folder / "log")
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _wait(url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_a_server_that_lets_everybody_in_is_refused(launch: Launch, open_port: int, home: Path) -> None:
    """Code 3, why, and both ways out; nothing is written."""
    ended = launch("connect", f"http://{address()}:{open_port}")
    assert ended.returncode == 3, ended.stderr
    for part in ("asks for no credential", "PREFECT_SERVER_API_AUTH_STRING", "--allow-no-auth"):
        assert part in ended.stderr
    assert not (home / "server.json").exists()


def test_it_is_used_when_told_so(launch: Launch, open_port: int) -> None:
    """`doctor` says it each time."""
    url = f"http://{address()}:{open_port}"
    assert launch("connect", url, "--allow-no-auth").returncode == 0
    assert launch("queue", "list").returncode == 0
    assert "lets everybody in" in launch("doctor").stdout


def test_on_loopback_it_is_this_machines_own(launch: Launch, open_port: int) -> None:
    """And a credential that lies around in the environment is not sent to who does not ask for one."""
    auth = {"PREFECT_API_AUTH_STRING": "someone:elses"}
    assert launch("connect", f"http://127.0.0.1:{open_port}", environment=auth).returncode == 0
    assert "someone" not in launch("env").stdout


def test_a_credential_over_plain_http_is_warned_of(launch: Launch, tmp_path: Path) -> None:
    """It leaves the machine, and who is on the way can read it; the user decides."""
    (tmp_path / "auth").write_text("a:b")
    for host, warned in ((address(), True), ("127.0.0.1", False)):
        with serving(prefect_of(version("prefect")), host) as server:
            ended = launch("connect", server.url, "--auth-file", str(tmp_path / "auth"))
        assert ended.returncode == 0, ended.stderr
        assert ("not encrypted" in ended.stderr) is warned
