"""`launch up` and `launch down`: bring the embedded default to its whole state from any state, and take it down."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.local import agent, postgres, server
from launch_jobs.local.connection import Connection, connection, embedded, forget, password, remember
from launch_jobs.local.profile import NAME, write_profile
from launch_jobs.settings import LaunchSettings

Say = Callable[[str], None]

_LOCK_S = 300


@dataclass(frozen=True, slots=True)
class LocalServer:
    """The embedded server, healthy.

    Attributes:
        connection: how to reach it.
        pid: of the Prefect server.
        database: `postgres`, or `sqlite` where no wheel fits.
        started: whether this call started it.
    """

    connection: Connection = field(repr=False)
    pid: int
    database: str
    started: bool


def up(settings: LaunchSettings, *, say: Say) -> LocalServer:
    """Bring the server up. Idempotent: what runs is kept, what is missing or broken is repaired.

    Args:
        settings: home folder and port.
        say: takes one line of progress.

    Raises:
        LaunchError: the database is another PostgreSQL major's (nothing touched).
        Refused: the home is connected to a server elsewhere, or belongs to an embedded one on another machine.
        BadInput: the port is taken, or the home cannot be written.
        Unavailable: a part does not start; the message names its log.
    """
    _check_free(connection(settings), settings)
    _prepare(settings.home)
    with _lock(settings.home, say):
        former = connection(settings)
        _check_free(former, settings)
        database, url = _ensure_database(settings, former, say)
        to, started = _ensure_server(settings, former, url, say)
        _write_profile(to, say)
        return LocalServer(to, server.running(settings)[0].pid, database, started)


def down(settings: LaunchSettings, *, say: Say) -> bool:
    """Stop agent, server and database, in any state they are in. False if nothing ran.

    Whether runs are active is the caller's question. A connection to a server elsewhere stays.

    Raises:
        Refused: the home belongs to an embedded server on another machine.
        Unavailable: a process cannot be stopped.
    """
    if not settings.home.is_dir():
        return False
    _check_host(connection(settings), settings)
    _prepare(settings.home)
    with _lock(settings.home, say):
        found = left(settings)
        for name, stop in _parts(settings):
            if name in found:
                say(f"Stopping {name}")
            stop()
        _forget_embedded(settings)
        still = left(settings)
        if still:
            raise Unavailable(f"Still running: {', '.join(still)}", do="Try again, or look with `ps -ef`")
        return bool(found)


def join(settings: LaunchSettings, to: Connection, *, say: Say) -> None:
    """Let this home's clients and agents use a server elsewhere from now on.

    Raises:
        Refused: an embedded server of this home runs.
        BadInput: the home cannot be written.
    """
    _prepare(settings.home)
    with _lock(settings.home, say):
        check_down(settings)
        remember(settings, to)
    _write_profile(to, say)


def check_down(settings: LaunchSettings) -> None:
    """Touches nothing.

    Raises:
        Refused: an embedded server of this home, or a part of it, runs.
    """
    running = left(settings)
    if running:
        raise Refused(
            f"An embedded server of this home runs ({', '.join(running)})",
            do="Run `launch down` first; its runs and jobs stay, for `launch connect --forget` and `launch up` later",
        )


def leave(settings: LaunchSettings, *, say: Say) -> bool:
    """Undo `join`. False if this home is not connected to a server elsewhere."""
    if not settings.home.is_dir():
        return False
    with _lock(settings.home, say):
        to = connection(settings)
        if to is None or to.embedded:
            return False
        forget(settings)
        return True


def left(settings: LaunchSettings) -> dict[str, list[int]]:
    """Process ids of what runs for this home, by part; empty when it is down."""
    found = {
        "the agent": agent.running(settings),
        "the Prefect server": server.running(settings),
        "PostgreSQL": [] if postgres.missing() else postgres.installed(settings.home).running(),
    }
    return {name: [process.pid for process in running] for name, running in found.items() if running}


def _parts(settings: LaunchSettings) -> list[tuple[str, Callable[[], None]]]:
    """In the order in which they stop: who uses a part goes before it."""
    parts = [
        ("the agent", lambda: agent.stop(settings)),
        ("the Prefect server", lambda: server.stop(settings)),
    ]
    if not postgres.missing():
        parts.append(("PostgreSQL", lambda: postgres.stop(postgres.installed(settings.home))))
    return parts


def _ensure_database(settings: LaunchSettings, former: Connection | None, say: Say) -> tuple[str, str]:
    """The database's kind and URL. A taken port is found before anything is made."""
    reason = postgres.missing()
    if reason is None:
        cluster = postgres.installed(settings.home)
        postgres.check_major(cluster)
    elif (settings.home / "postgres").exists():
        raise BadInput(f"{settings.home / 'postgres'} holds the database, but {reason}", do="Install what is missing")
    if not server.running(settings):
        server.check_port_free(server.choose_port(settings, former))
    if reason is not None:
        say(f"Warning: {reason}; using SQLite, which bears only a few runs at once")
        return "sqlite", f"sqlite+aiosqlite:///{server.folder(settings)}/prefect.db"
    cluster = postgres.installed(settings.home)
    if not cluster.running():
        say("PostgreSQL: starting" if cluster.data.exists() else "PostgreSQL: making the database (about 1 s)")
    return "postgres", postgres.start(cluster)


def _ensure_server(settings: LaunchSettings, former: Connection | None, url: str, say: Say) -> tuple[Connection, bool]:
    if former and server.running(settings) and server.recovers(former):
        if settings.port not in {0, former.port}:
            say(f"The server stays on port {former.port}; to move it: launch down, then launch up")
        return former, False
    server.stop(settings)  # it hangs, has lost its database for good, or is another version's
    to = embedded(server.choose_port(settings, former), password(settings))
    first = not (server.folder(settings) / "ui").exists()
    say(f"Prefect server: starting on {to.ui_url} (about {'15' if first else '8'} s)")
    begin = time.monotonic()
    server.launch(settings, to, url)
    server.wait(settings, to)
    remember(settings, to)
    say(f"Prefect server: ready after {time.monotonic() - begin:.0f} s")
    return to, True


def _write_profile(to: Connection, say: Say) -> None:
    """The profile is a convenience: a server that runs is not called a failure for want of it."""
    try:
        if write_profile(to):
            say(f"Prefect profile `{NAME}` written; your active profile is unchanged")
    except BadInput as error:
        say(f"Warning: {error}")


def _forget_embedded(settings: LaunchSettings) -> None:
    to = connection(settings)
    if to is not None and to.embedded:
        forget(settings)


def _check_free(former: Connection | None, settings: LaunchSettings) -> None:
    if former and not former.embedded:
        raise Refused(
            f"This home is connected to {former.api_url}, so it starts no server of its own",
            do="Run `launch agent -q QUEUE` to serve a queue of that server, or `launch connect --forget` to part from "
            "it, then `launch up`",
        )
    _check_host(former, settings)


def _check_host(former: Connection | None, settings: LaunchSettings) -> None:
    """A home on a network file system: two machines must not open one database."""
    if former and former.embedded and former.host != socket.gethostname():
        raise Refused(
            f"{settings.home} is in use by a server on {former.host}",
            do=f"Run `launch down` there, or set LAUNCH_JOBS_HOME; if {former.host} is gone for good, remove "
            f"{settings.home / 'server.json'}",
        )


def _prepare(home: Path) -> None:
    """Make the home (0700) and its parts. A home that was there keeps its mode: it may be a folder of the user's."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("run", "logs", "prefect", "project"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{home} cannot be made or written ({error.strerror})", do="Set LAUNCH_JOBS_HOME") from error


@contextmanager
def _lock(home: Path, say: Say) -> Generator[None]:
    """One `up` or `down` at a time; the operating system frees it if this process dies."""
    lock = FileLock(home / "run" / "lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say("Waiting for another `launch up` or `launch down`")
            lock.acquire(timeout=_LOCK_S)
    except Timeout as error:
        raise Unavailable(f"Another `launch up` or `launch down` works in {home} since {_LOCK_S} s") from error
    try:
        yield
    finally:
        lock.release()
