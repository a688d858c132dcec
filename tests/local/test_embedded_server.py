"""The embedded default, for real: Postgres, Prefect server, profile. One home for all; no socket fits in its path."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from launch_jobs import doctor
from launch_jobs.local import agent, postgres, server
from launch_jobs.local.connection import Connection, connection
from launch_jobs.local.lifecycle import LocalServer, down, left, up
from launch_jobs.queue import create_queue
from launch_jobs.settings import LaunchSettings

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Embedded:
    """A home, and what two simultaneous first `up` calls returned."""

    settings: LaunchSettings
    first: tuple[LocalServer, LocalServer]
    profiles: Path


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Generator[Embedded]:
    """A server that two callers brought up at the same time."""
    folder = tmp_path_factory.mktemp("local") / ("long" * 30)
    profiles = tmp_path_factory.mktemp("prefect") / "profiles.toml"
    profiles.write_text('active = "mine"\n\n[profiles.mine]\nPREFECT_API_URL = "http://example.com/api"\n')
    settings = LaunchSettings(home=folder, port=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_PROFILES_PATH", str(profiles))
        try:
            with ThreadPoolExecutor(2) as pool:
                both = [pool.submit(up, settings, say=print) for _ in range(2)]
            yield Embedded(settings, (both[0].result(), both[1].result()), profiles)
        finally:
            down(settings, say=print)


@pytest.fixture
def running(embedded: Embedded) -> LocalServer:
    """The server, up again if the test before took a part of it down."""
    return up(embedded.settings, say=print)


def get(to: Connection, path: str, auth: str | None) -> int:
    """Status of one request."""
    call = http.client.HTTPConnection("127.0.0.1", to.port, timeout=10)
    try:
        call.request(
            "GET", path, headers={"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}
        )
        return call.getresponse().status
    finally:
        call.close()


def kill(processes: list[psutil.Process]) -> None:
    """`kill -9`, and wait for the end."""
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


def test_two_ups_at_once_start_one_server(embedded: Embedded) -> None:
    """One starts it, the other finds it."""
    assert sorted(result.started for result in embedded.first) == [False, True]
    assert embedded.first[0].connection == embedded.first[1].connection


def test_a_second_up_changes_nothing(embedded: Embedded, running: LocalServer) -> None:
    """An `up` of what is up starts nothing and keeps every process."""
    before = left(embedded.settings)
    again = up(embedded.settings, say=print)
    assert again == LocalServer(running.connection, running.pid, running.database, started=False)
    assert left(embedded.settings)["the Prefect server"] == before["the Prefect server"]


@pytest.mark.skipif(postgres.missing() is not None, reason="no embedded PostgreSQL on this platform")
def test_the_database_is_postgres(running: LocalServer) -> None:
    """Where a wheel fits, SQLite is not used."""
    assert running.database == "postgres"


def test_the_api_asks_for_the_password(running: LocalServer) -> None:
    """Without the password, or with another, every answer is 401."""
    to = running.connection
    path = "/api/admin/version"
    assert [get(to, path, auth) for auth in (None, "admin:guess", to.auth_string)] == [401, 401, 200]


def test_the_ui_is_served(running: LocalServer) -> None:
    """A browser gets the UI and learns where the API is."""
    assert get(running.connection, "/v2/", None) == 200
    assert get(running.connection, "/ui-settings", None) == 200


def test_it_listens_on_loopback_only(embedded: Embedded, running: LocalServer) -> None:
    """One TCP port on 127.0.0.1, and PostgreSQL has none."""
    pids = {pid for pids in left(embedded.settings).values() for pid in pids}
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in pids]
    assert [tuple(c.laddr) for c in listening] == [("127.0.0.1", running.connection.port)]


def test_no_command_line_shows_the_password(running: LocalServer) -> None:
    """`ps` shows every user's arguments."""
    password = running.connection.password
    shown = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in shown if password in line]


def test_what_holds_secrets_is_private(embedded: Embedded, running: LocalServer) -> None:
    """Home, connection, password and profile are for their owner alone."""
    home = embedded.settings.home
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (home / "server.json", home / "password")}
    assert modes == {"server.json": "0o600", "password": "0o600"}
    assert oct(home.stat().st_mode & 0o777) == "0o700"
    assert oct(embedded.profiles.stat().st_mode & 0o777) == "0o600"


def test_a_killed_server_is_repaired(embedded: Embedded, running: LocalServer) -> None:
    """After `kill -9` of the Prefect server an `up` starts it with the same password."""
    kill(server.running(embedded.settings))
    again = up(embedded.settings, say=print)
    assert again.started
    assert again.pid != running.pid
    assert again.connection.auth_string == running.connection.auth_string


@pytest.mark.skipif(postgres.missing() is not None, reason="no embedded PostgreSQL on this platform")
def test_a_killed_database_is_repaired(embedded: Embedded, running: LocalServer) -> None:
    """After `kill -9` of PostgreSQL an `up` starts it, and the server answers from it."""
    assert running.pid
    kill(postgres.installed(embedded.settings.home).running())
    again = up(embedded.settings, say=print)
    assert get(again.connection, "/api/ready", None) == 200


def test_down_leaves_nothing_and_keeps_the_data(embedded: Embedded, running: LocalServer) -> None:
    """No process, no connection; the next `up` has the former password."""
    assert down(embedded.settings, say=print)
    assert left(embedded.settings) == {}
    assert connection(embedded.settings) is None
    assert get_refused(running.connection)
    assert not down(embedded.settings, say=print)
    assert up(embedded.settings, say=print).connection.password == running.connection.password


def get_refused(to: Connection) -> bool:
    """Whether nobody listens any more."""
    return server.status(to, seconds=2)[0] == 0


def test_the_profile_works_and_the_active_one_stays(embedded: Embedded, running: LocalServer) -> None:
    """The stock command reaches the server by the profile, and the user's own profile is still the active one."""
    told = subprocess.run(
        [sys.executable, "-m", "prefect", "--profile", "launch-jobs", "server", "status"],
        env={k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        | {"PREFECT_PROFILES_PATH": str(embedded.profiles)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert running.connection.api_url in told.stdout.replace("\n", ""), told.stderr
    assert told.returncode == 0
    text = embedded.profiles.read_text()
    assert text.startswith('active = "mine"')
    assert "http://example.com/api" in text


def test_another_port_of_a_running_server_is_told(embedded: Embedded, running: LocalServer) -> None:
    """A changed port does not tear a running server down; one line says what to do."""
    said: list[str] = []
    moved = embedded.settings.model_copy(update={"port": running.connection.port + 1})
    assert up(moved, say=said.append).connection == running.connection
    assert [line for line in said if "launch down" in line]


def test_the_doctor_finds_the_server_well(embedded: Embedded, running: LocalServer) -> None:
    """Server and database are true."""
    checks = {check.name: check for check in doctor.check_all(embedded.settings)}
    assert checks["server"].ok, checks["server"]
    assert running.connection.api_url in checks["server"].detail
    assert checks["database"].ok is (None if postgres.missing() else True)


@pytest.fixture
def queues(running: LocalServer) -> tuple[str, str]:
    """Two process queues."""
    names = ("agent-test-one", "agent-test-two")
    to = running.connection
    with temporary_settings({PREFECT_API_URL: to.api_url, PREFECT_API_AUTH_STRING: to.auth_string}):
        for name in names:
            asyncio.run(create_queue(name, "process"))
    return names


def test_one_agent_serves_the_queues_named_last(embedded: Embedded, queues: tuple[str, str]) -> None:
    """A second start of the same changes nothing, another queue replaces the agent, and `down` would find it."""
    settings, log = embedded.settings, agent.log(embedded.settings)
    try:
        assert agent.start_agent(settings, [queues[0]])
        while f"serves {queues[0]}" not in log.read_text():
            assert agent.running(settings), log.read_text()
            time.sleep(0.1)
        first = agent.running(settings)[0].pid
        assert not agent.start_agent(settings, [queues[0]])
        assert left(settings)["the agent"] == [first]
        assert agent.start_agent(settings, [queues[1]])
        assert first not in left(settings)["the agent"]
    finally:
        agent.stop(settings)
    assert agent.running(settings) == []
