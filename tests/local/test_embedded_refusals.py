"""What `up` refuses, before anything is made; and the small parts that need no server."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from launch_jobs import doctor
from launch_jobs.errors import BadInput, LaunchError, Refused, Unavailable
from launch_jobs.local import agent, postgres, processes
from launch_jobs.local.connection import client_environment, connection, embedded, remember
from launch_jobs.local.lifecycle import down, left, up
from launch_jobs.local.profile import write_profile
from launch_jobs.settings import LaunchSettings


@pytest.fixture
def settings(tmp_path: Path) -> LaunchSettings:
    """Settings of a home that is not there yet."""
    return LaunchSettings(home=tmp_path / "home", port=0)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with a file's content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.skipif(postgres.missing() is not None, reason="no embedded PostgreSQL on this platform")
def test_another_postgres_major_is_refused_untouched(settings: LaunchSettings) -> None:
    """The message names the folder and both versions; the data is as it was, and nothing runs."""
    data = settings.home / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    before = tree(data)
    with pytest.raises(LaunchError, match=r"PostgreSQL 9's.*brings PostgreSQL \d\d") as refusal:
        up(settings, say=print)
    assert str(data) in str(refusal.value)
    assert tree(data) == before
    assert left(settings) == {}


def test_a_taken_port_is_refused_before_anything_is_made(settings: LaunchSettings) -> None:
    """The message says how to choose another; no database was made for nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=rf"Port {port} .* LAUNCH_JOBS_PORT="):
            up(settings.model_copy(update={"port": port}), say=print)
    assert not (settings.home / "postgres").exists()
    assert left(settings) == {}


def test_a_home_in_use_by_another_machine_is_refused(settings: LaunchSettings) -> None:
    """Two machines with one network home must not open one database."""
    settings.home.mkdir()
    mine = embedded(4200, "secret")
    remember(settings, mine)
    path = settings.home / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere"}))
    for call in (up, down):
        with pytest.raises(Refused, match="elsewhere"):
            call(settings, say=print)


def test_a_home_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    """One line names the folder and the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/home cannot be made.*LAUNCH_JOBS_HOME"):
        up(LaunchSettings(home=tmp_path / "file" / "home", port=0), say=print)


def test_down_without_a_home_does_nothing(settings: LaunchSettings) -> None:
    """`launch down` on a machine that was never up makes nothing."""
    assert not down(settings, say=print)
    assert not settings.home.exists()


def test_without_a_server_there_is_no_connection(settings: LaunchSettings) -> None:
    """None, not an error: the caller says what to do."""
    assert connection(settings) is None


def test_a_connection_comes_back_as_written(settings: LaunchSettings) -> None:
    """Written and read, with a password that `repr` hides."""
    settings.home.mkdir()
    remember(settings, embedded(4300, "secret"))
    found = connection(settings)
    assert found
    assert found == embedded(4300, "secret")
    assert (found.port, found.password) == (4300, "secret")
    assert "secret" not in repr(found)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"api_url": "x"}', '{"surplus": 1}'])
def test_a_broken_connection_file_is_named(settings: LaunchSettings, content: str) -> None:
    """One line with the path and what to do."""
    settings.home.mkdir()
    (settings.home / "server.json").write_text(content)
    with pytest.raises(LaunchError, match=r"server\.json cannot be read.*launch up"):
        connection(settings)


def test_clients_get_address_and_password() -> None:
    """The two variables of the stock Prefect client."""
    assert client_environment(embedded(4200, "secret"), {}) == {
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
        "PREFECT_API_AUTH_STRING": "admin:secret",
    }


def test_loopback_does_not_go_through_a_proxy() -> None:
    """Where a proxy is set, the loopback address is added to the user's exceptions."""
    to = embedded(4200, "secret")
    found = client_environment(to, {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "intra.example"})
    assert found["NO_PROXY"] == found["no_proxy"] == "intra.example,127.0.0.1,localhost"
    assert "NO_PROXY" not in client_environment(to, {"HTTP_PROXY": "http://proxy:3128", "no_proxy": "127.0.0.1"})


def test_the_profile_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second write of the same finds nothing to do; another port replaces it."""
    path = tmp_path / "profiles.toml"
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(path))
    assert [write_profile(embedded(port, "secret")) for port in (4200, 4200, 4300)] == [True, False, True]
    assert "4200" not in path.read_text()


def test_a_profile_keeps_what_the_user_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, other profiles and the active one stay, wherever ours stands, and the file becomes private."""
    path = tmp_path / "profiles.toml"
    ours = '[profiles.launch-jobs]\nPREFECT_API_URL = "old"\n\n'
    mine = '# my comment\nactive = "mine"\n\n{}[profiles.mine]\nPREFECT_API_URL = "http://example.com/api"\n'
    path.write_text(mine.format(ours))
    path.chmod(0o644)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(path))
    write_profile(embedded(4200, "secret"))
    assert path.read_text().startswith(mine.format("") + "\n[profiles.launch-jobs]\n")
    assert "old" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["no toml", '[profiles."launch-jobs"]\nPREFECT_API_URL = "x"\n'])
def test_a_profiles_file_we_cannot_edit_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """One line names the file; not a byte of it changes."""
    path = tmp_path / "profiles.toml"
    path.write_text(content)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(path))
    with pytest.raises(BadInput, match=r"profiles\.toml"):
        write_profile(embedded(4200, "secret"))
    assert path.read_text() == content


def test_an_agent_needs_a_server(settings: LaunchSettings) -> None:
    """One line says to run `launch up`."""
    with pytest.raises(Unavailable, match="launch up"):
        agent.start_agent(settings, ["default"])


def start_sleeper(folder: Path, program: str) -> psutil.Process:
    """A detached Python program that says `ready`."""
    log = folder / "log"
    argv = [sys.executable, "-c", f"# {folder.name}\n{program}\nprint('ready', flush=True)\ntime.sleep(600)"]
    processes.start(argv, folder=folder, log=log, environment=os.environ)
    while "ready" not in log.read_text():
        time.sleep(0.02)
    return processes.running(folder.name, folder=folder)[0]


def test_a_started_process_is_nobodys_child(tmp_path: Path) -> None:
    """It has a session of its own and another parent: it outlives us, and becomes no zombie of ours."""
    process = start_sleeper(tmp_path, "import time")
    try:
        assert process.ppid() != os.getpid()
        assert os.getsid(process.pid) != os.getsid(0)
    finally:
        processes.stop([process], seconds=5)
    assert not processes.alive(process)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """Asked first, then ended."""
    process = start_sleeper(tmp_path, "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)")
    processes.stop([process], seconds=0.2)
    assert not processes.alive(process)


def test_a_process_in_another_folder_is_not_ours(tmp_path: Path) -> None:
    """The same command line elsewhere belongs to another home."""
    process = start_sleeper(tmp_path, "import time")
    try:
        assert processes.running(tmp_path.name, folder=tmp_path.parent) == []
    finally:
        processes.stop([process], seconds=5)


def test_a_grown_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of a first user does not fill up with server logs."""
    monkeypatch.setattr(processes, "_LOG_LIMIT_BYTES", 10)
    log = tmp_path / "server.log"
    log.write_text("x" * 11)
    processes.start([sys.executable, "-c", ""], folder=tmp_path, log=log, environment=os.environ)
    assert (tmp_path / "server.log.1").read_text() == "x" * 11
    assert log.stat().st_size < 11


def test_the_doctor_says_what_to_do_on_an_empty_machine(
    settings: LaunchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server yet and no Docker are no faults, and have a cure; and the checks leave nothing behind."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    checks = {check.name: check for check in doctor.check_all(settings)}
    assert (checks["server"].ok, checks["server"].do) == (None, "Run `launch up`")
    assert checks["docker"].ok is None
    assert checks["store"].ok
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_finds_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    """A store below a file is a fault, not a traceback."""
    (tmp_path / "file").write_text("")
    settings = LaunchSettings(home=tmp_path, store=f"file://{tmp_path}/file/store")
    checks = {check.name: check for check in doctor.check_all(settings)}
    assert checks["store"].ok is False
    assert checks["store"].detail


def test_the_doctor_uses_the_docker_engine(docker_base: str, settings: LaunchSettings) -> None:
    """A running engine and a base image that it has are true."""
    named = settings.model_copy(update={"base_image": docker_base})
    checks = {check.name: check for check in doctor.check_all(named)}
    assert checks["docker"].ok
    assert checks["base image"].ok
