"""`launch connect`, as a user has it: two homes that share a server and a store, and every wrong address."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from foreign_servers import Foreign, prefect_of, serving

import blocks
from launch_jobs.local.connection import Connection

if TYPE_CHECKING:
    from conftest import Ended, Launch

HTML = "<!doctype html><html><body>Welcome</body></html>"


@pytest.fixture
def auth_file(prefect_server: Connection, tmp_path: Path) -> str:
    """A file with the server's credential."""
    path = tmp_path / "auth"
    path.write_text(prefect_server.auth_string + "\n")
    return str(path)


@pytest.fixture
def unconnected(home: Path) -> Generator[None]:
    """The home is connected to nothing after the test, as before it."""
    yield
    assert not (home / "server.json").exists()


def document(ended: Ended) -> dict[str, Any]:
    """The one JSON document of a command that went well."""
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def refused(ended: Ended, code: int, *said: str) -> None:
    """It ended so, and its one line says this."""
    assert ended.returncode == code, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert all(part in last for part in said), last
    assert "Traceback" not in ended.stderr


def test_a_connected_home_is_used_by_every_command(
    launch: Launch, prefect_server: Connection, auth_file: str, home: Path, tmp_path: Path
) -> None:
    """Address without /api, credential and store are kept privately; commands, stock ones too, and doctor use them."""
    store = (tmp_path / "shared").as_uri()
    told = document(launch("connect", prefect_server.ui_url, "--store", store, "--auth-file", auth_file, "--json"))
    assert (told["api_url"], told["store"], told["auth"]) == (prefect_server.api_url, store, True)
    assert stat.S_IMODE((home / "server.json").stat().st_mode) == 0o600
    assert launch("queue", "list").returncode == 0
    assert document(launch("env", "--json"))["PREFECT_API_AUTH_STRING"] == prefect_server.auth_string
    assert document(launch("ui", "--json"))["ui_url"] == prefect_server.ui_url
    checks = {check["name"]: check for check in json.loads(launch("doctor", "--json").stdout)}
    assert (checks["server"]["ok"], checks["store"]["ok"]) == (True, True)
    assert prefect_server.api_url in checks["server"]["detail"]


def test_connecting_again_needs_no_credential(
    launch: Launch, prefect_server: Connection, auth_file: str, home: Path
) -> None:
    """And changes nothing."""
    first = document(launch("connect", prefect_server.api_url, "--auth-file", auth_file, "--json"))
    kept = (home / "server.json").read_bytes()
    assert document(launch("connect", prefect_server.api_url, "--json")) == first
    assert (home / "server.json").read_bytes() == kept


def test_the_credential_may_come_by_environment(launch: Launch, prefect_server: Connection) -> None:
    """But one that is for another server is not sent."""
    auth = {"PREFECT_API_AUTH_STRING": prefect_server.auth_string}
    elsewhere = auth | {"PREFECT_API_URL": "https://other.example.org/api"}
    refused(launch("connect", prefect_server.api_url, environment=elsewhere), 2, "asks for a credential", "--auth-file")
    assert launch("connect", prefect_server.api_url, environment=auth).returncode == 0


def test_up_is_refused_and_down_leaves_the_server_alone_until_parted(
    launch: Launch, prefect_server: Connection, auth_file: str, home: Path
) -> None:
    """`--cancel` would else end a team's runs."""
    launch("connect", prefect_server.api_url, "--auth-file", auth_file)
    refused(launch("up"), 3, f"connected to {prefect_server.api_url}", "launch agent", "launch connect --forget")
    ended = launch("down", "--cancel")
    assert ended.returncode == 0
    assert "left alone" in ended.stderr
    assert (home / "server.json").exists()
    assert document(launch("connect", "--forget", "--json")) == {"forgotten": True}
    assert document(launch("connect", "--forget", "--json")) == {"forgotten": False}
    refused(launch("queue", "list"), 4, "launch up")


def test_a_home_whose_embedded_server_runs_is_refused(launch: Launch, prefect_server: Connection) -> None:
    """Its parts are named, and how to go on; nothing is written."""
    home = Path(os.environ["LAUNCH_JOBS_TEST_SHARED"]) / "home"
    kept = (home / "server.json").read_bytes()
    ended = launch("connect", prefect_server.api_url, environment={"LAUNCH_JOBS_HOME": str(home)})
    refused(ended, 3, "the Prefect server", "`launch down`")
    assert (home / "server.json").read_bytes() == kept


def test_without_store_the_servers_default_block_is_taken(
    launch: Launch, connected: Connection, auth_file: str, home: Path, tmp_path: Path
) -> None:
    """Then every machine has the same store; else it is said that the store stays."""
    ended = launch("connect", connected.api_url, "--auth-file", auth_file)
    assert f"The job store stays {(home / 'store').as_uri()}" in ended.stderr
    blocks.JobStore(url=(tmp_path / "shared").as_uri()).save("default")
    try:
        assert document(launch("connect", connected.api_url, "--json"))["store"] == "block:default"
        assert json.loads(launch("job", "list", "--json").stdout) == []
        assert (tmp_path / "shared").is_dir()
    finally:
        blocks.JobStore.delete("default")


@pytest.mark.usefixtures("unconnected")
@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("gs://bucket", "gs://bucket"),
        ("somewhere", "somewhere"),
        ("block:nope", "no launch-job-store block 'nope'"),
        ("file:///proc/nope", "/proc/nope"),
    ],
)
def test_a_store_that_cannot_be_opened_keeps_the_home_as_it_was(
    launch: Launch, prefect_server: Connection, auth_file: str, store: str, said: str
) -> None:
    """One clear line, and nothing is written."""
    refused(launch("connect", prefect_server.api_url, "--auth-file", auth_file, "--store", store), 2, said)


def test_a_wrong_password_is_said_without_it(
    launch: Launch, prefect_server: Connection, tmp_path: Path, home: Path
) -> None:
    """Code 2, and what the credential looks like."""
    (tmp_path / "auth").write_text("admin:wrong-secret")
    ended = launch("connect", prefect_server.api_url, "--auth-file", str(tmp_path / "auth"))
    refused(ended, 2, "refuses the credential (401)", "user:password")
    assert "wrong-secret" not in ended.stderr + ended.stdout
    assert not (home / "server.json").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gpu-box:4200", "http://HOST:4200"),
        ("ftp://gpu-box", "http://HOST:4200"),
        ("http://", "http://HOST:4200"),
        ("http://h:notaport", "http://HOST:4200"),
        ("http://admin:hush@gpu-box", "shell history"),
        ("admin:hush@gpu-box", "http://HOST:4200"),
    ],
)
def test_what_is_no_address_is_refused(launch: Launch, url: str, said: str) -> None:
    """A password in it is not repeated."""
    ended = launch("connect", url)
    refused(ended, 2, said)
    assert "hush" not in ended.stderr


def test_nobody_there_is_unavailable(launch: Launch) -> None:
    """Code 4: trying again can help."""
    refused(launch("connect", "http://127.0.0.1:1"), 4, "No server answers at http://127.0.0.1:1/api")


@pytest.mark.usefixtures("unconnected")
@pytest.mark.parametrize(
    ("foreign", "code", "said"),
    [
        (Foreign({"": (200, HTML)}), 2, "no Prefect server"),
        (Foreign({"": (200, "7")}), 2, "no Prefect server"),
        (Foreign({"": (404, "{}")}), 2, "no Prefect server"),
        (Foreign({"": (503, "")}), 4, "in trouble (503)"),
        (Foreign({"": (307, "")}, location="https://prefect.example.org/api/health"), 2, "https://prefect.example.org"),
        (prefect_of("3.7.9"), 2, "is Prefect 3.7.9, but this Launch Jobs works with"),
        (prefect_of("3.9.0"), 2, "is Prefect 3.9.0"),
        (prefect_of("4.0.0.dev1"), 2, "is Prefect 4.0.0.dev1"),
        (prefect_of("nightly"), 2, "'nightly'"),
    ],
    ids=lambda value: None if isinstance(value, Foreign) else str(value)[:20],
)
def test_what_is_no_fitting_server_is_refused(
    launch: Launch, foreign: Foreign, code: int, said: str, folder: Path
) -> None:
    """Who did not ask for the credential is not sent it; the home stays as it was."""
    (folder / "auth").write_text("admin:secret")
    with serving(foreign):
        refused(launch("connect", foreign.url, "--auth-file", "auth"), code, said)
    assert bool(foreign.credentials) == bool(foreign.guarded)


def test_who_is_no_prefect_server_gets_no_credential_by_asking(launch: Launch, folder: Path) -> None:
    """A Prefect server says that it is one before it asks; any other program with a password does not get ours."""
    (folder / "auth").write_text("admin:secret")
    with serving(Foreign({"": (200, HTML)}, guarded=("/api/admin/version",))) as foreign:
        refused(launch("connect", foreign.url, "--auth-file", "auth"), 2, "no Prefect server")
    assert foreign.credentials == []


def test_an_empty_credential_file_is_refused(launch: Launch, prefect_server: Connection, tmp_path: Path) -> None:
    """It is no credential."""
    (tmp_path / "auth").write_text("\n")
    refused(launch("connect", prefect_server.api_url, "--auth-file", str(tmp_path / "auth")), 2, "empty")


@pytest.mark.parametrize("arguments", [(), ("http://127.0.0.1:1", "--forget")])
def test_either_an_address_or_forget(launch: Launch, arguments: tuple[str, ...]) -> None:
    """Neither or both is bad input."""
    refused(launch("connect", *arguments), 2, "--forget")


def test_on_a_terminal_the_credential_is_asked_for_and_not_shown(
    prefect_server: Connection, home: Path, folder: Path
) -> None:
    """What is typed is kept, and not echoed."""
    with terminal("connect", prefect_server.api_url, home=home, folder=folder) as (process, screen):
        shown = until(screen, "(not shown)")
        os.write(screen, f"{prefect_server.auth_string}\n".encode())
        shown += until(screen, "next:")
        assert process.wait(60) == 0
    assert prefect_server.password not in shown
    assert prefect_server.auth_string in (home / "server.json").read_text()


@contextmanager
def terminal(*arguments: str, home: Path, folder: Path) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """`launch` on a terminal of its own; the process, and the terminal's other side."""
    screen, its_side = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LAUNCH_"))}
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "launch_jobs", *arguments],
        cwd=folder,
        env=clean | {"LAUNCH_JOBS_HOME": str(home), "PREFECT_HOME": str(home)},
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
    )
    os.close(its_side)
    try:
        yield process, screen
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def until(screen: int, text: str) -> str:
    """What a terminal shows, read until it shows a text."""
    shown = ""
    while text not in shown:
        shown += os.read(screen, 1024).decode(errors="replace")
    return shown
