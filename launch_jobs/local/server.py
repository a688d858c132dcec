"""The embedded Prefect server: stock `prefect server start` on loopback, with a password, on our database."""

from __future__ import annotations

import base64
import http.client
import importlib.metadata
import os
import socket
import sys
import time
from pathlib import Path

import psutil

from launch_jobs.errors import BadInput, Unavailable
from launch_jobs.local import processes
from launch_jobs.local.connection import Connection
from launch_jobs.settings import LaunchSettings

_COMMAND = ("-m", "prefect", "server", "start")
_START_S = 180  # a slow disk and a first start that makes the tables; measured: 8 s
_RECOVER_S = 10  # for a running server to find its database again
_STOP_S = 10


def folder(settings: LaunchSettings) -> Path:
    """Working folder and PREFECT_HOME of the server."""
    return settings.home / "prefect"


def log(settings: LaunchSettings) -> Path:
    """Where the server writes."""
    return settings.home / "logs" / "server.log"


def running(settings: LaunchSettings) -> list[psutil.Process]:
    """The server's live processes (one, or none)."""
    return processes.running(" ".join(_COMMAND), folder=folder(settings))


def healthy(to: Connection, *, seconds: float = 2) -> bool:
    """Whether our Prefect server answers there with our password, in the installed version, and has its database."""
    version = installed_version()
    return (
        _get(to, "/api/admin/version", seconds) == (200, f'"{version}"') and _get(to, "/api/ready", seconds)[0] == 200
    )


def recovers(to: Connection) -> bool:
    """Whether a running server is healthy, or becomes so soon."""
    return _until_healthy(to, seconds=_RECOVER_S)


def status(to: Connection, *, seconds: float) -> tuple[int, str]:
    """HTTP status and body of the server's version; (0, reason) if nobody answers."""
    return _get(to, "/api/admin/version", seconds)


def launch(settings: LaunchSettings, to: Connection, database_url: str) -> None:
    """Start the server's process.

    Raises:
        BadInput: the port is taken.
    """
    check_port_free(to.port)
    argv = [sys.executable, *_COMMAND, "--host", "127.0.0.1", "--port", str(to.port)]
    environment = _environment(settings, to, database_url)
    processes.start(argv, folder=folder(settings), log=log(settings), environment=environment)


def wait(settings: LaunchSettings, to: Connection) -> None:
    """Wait until a server just launched is healthy.

    Raises:
        Unavailable: it ends or does not answer in time; the message names its log.
    """
    if _until_healthy(to, seconds=_START_S, settings=settings):
        return
    why = processes.last_line(log(settings)) or "it does not answer"
    stop(settings)
    raise Unavailable(f"The Prefect server did not start: {why}", do=f"See {log(settings)}")


def stop(settings: LaunchSettings) -> None:
    """Stop the server if it runs."""
    processes.stop(running(settings), seconds=_STOP_S)


def installed_version() -> str:
    """Prefect's version in this environment."""
    return importlib.metadata.version("prefect")


def choose_port(settings: LaunchSettings, former: Connection | None) -> int:
    """The settings' port; if that is 0, the former one if it is free, else any free one."""
    if settings.port:
        return settings.port
    if former and _is_free(former.port):
        return former.port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port_free(port: int) -> None:
    """Touches nothing.

    Raises:
        BadInput: another program listens there.
    """
    if not _is_free(port):
        raise BadInput(
            f"Port {port} on 127.0.0.1 is taken by another program",
            do=f"Choose another: LAUNCH_JOBS_PORT={port + 1} launch up (0 takes any free one)",
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: TIME_WAIT does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _environment(settings: LaunchSettings, to: Connection, database_url: str) -> dict[str, str]:
    """The caller's environment without its own Prefect settings, and ours. Secrets go this way, never by argument."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return inherited | {
        "PREFECT_HOME": str(folder(settings)),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(to.port),
        "PREFECT_SERVER_API_AUTH_STRING": to.auth_string,
        # The UI sends the password in a header of its own, never by cookie, so no other site can use a browser's
        # login: CSRF tokens would add nothing. Other origins are refused all the same.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{to.ui_url},http://localhost:{to.port}",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url,
        # Connections that stay: beyond 5, each would be opened for one request, and that costs more than the request.
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "20",
        # Many ends of tasks by one statement; one by one they take a quarter of the server's time under load.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        # The UI's files are written for their address at every start: not into site-packages, which may be read-only.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder(settings) / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _until_healthy(to: Connection, *, seconds: float, settings: LaunchSettings | None = None) -> bool:
    """Wait; ends early if the server's process is gone (looked for only with `settings`)."""
    deadline, unseen = time.monotonic() + seconds, 0
    while not healthy(to):
        unseen = 0 if settings is None or running(settings) else unseen + 1
        # While a process is replaced by another program (exec) its command line is empty for a moment.
        if time.monotonic() > deadline or unseen > 3:
            return False
        time.sleep(0.1)
    return True


def _get(to: Connection, path: str, seconds: float) -> tuple[int, str]:
    """One GET; by the standard library, which asks no proxy and is quick to import."""
    token = base64.b64encode(to.auth_string.encode()).decode()
    call = http.client.HTTPConnection("127.0.0.1", to.port, timeout=seconds)
    try:
        call.request("GET", path, headers={"Authorization": f"Basic {token}"})
        answer = call.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        call.close()
