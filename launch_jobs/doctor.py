"""`launch doctor`: does every part answer, and if not, what to do. No check waits longer than five seconds."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from launch_jobs.errors import LaunchError, NotFound
from launch_jobs.settings import LaunchSettings

if TYPE_CHECKING:
    from launch_jobs.engine import Engine
    from launch_jobs.local.connection import Connection

_LIMIT_S = 5
_LOW_DISK_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: of the part.
        ok: True: works; False: needed and broken; None: optional and not there.
        detail: what was found, one line.
        do: what to do about it; empty if it works.
    """

    name: str
    ok: bool | None
    detail: str
    do: str = ""


def check_all(settings: LaunchSettings) -> list[Check]:
    """Check every part that this machine's settings name; never raises for a broken one."""
    return [
        _checked("server", _server, settings),
        _checked("database", _database, settings),
        _checked("store", _store, settings),
        _checked("disk", _disk, settings),
        *_docker(settings),
        _cluster(),
        _tool("git", "captures git sources", "Install git to capture from git repositories"),
        _tool("uv", "makes environments for process queues", "Optional: the one beside Launch Jobs is used"),
    ]


def _checked(name: str, check: Callable[[LaunchSettings], Check], settings: LaunchSettings) -> Check:
    try:
        return check(settings)
    except LaunchError as error:
        return Check(name, False, error.what, error.do)
    except OSError as error:
        return Check(name, False, str(error), f"Look at {settings.home}")


def _server(settings: LaunchSettings) -> Check:
    from launch_jobs.local import server
    from launch_jobs.local.connection import connection

    to = connection(settings)
    if to is None:
        return Check("server", None, "none was started yet", "Run `launch up`")
    if not to.embedded:
        return _server_elsewhere(to)
    code, body = server.status(to, seconds=_LIMIT_S)
    version = body.strip('"')
    if code == 401:
        return Check("server", False, f"{to.api_url} refuses our password", "Run `launch down`, then `launch up`")
    if code != 200:
        return Check("server", False, f"{to.api_url} does not answer ({body or code})", "Run `launch up`")
    if version != server.installed_version():
        detail = f"{to.api_url} is Prefect {version}, this client {server.installed_version()}"
        return Check("server", False, detail, "Run `launch up`, which restarts it")
    return Check("server", True, f"Prefect {version} at {to.api_url}")


def _server_elsewhere(to: Connection) -> Check:
    from launch_jobs.local import remote

    version = remote.server_version(to.api_url, remote.Credential(to.auth_string, to.api_key))
    remote.check_version(to.api_url, version)
    if not remote.is_local(to.api_url) and not (to.auth_string or to.api_key):
        return Check(
            "server", True, f"Prefect {version} at {to.api_url}, which lets everybody in", "Give it a password"
        )
    return Check("server", True, f"Prefect {version} at {to.api_url}")


def _database(settings: LaunchSettings) -> Check:
    from launch_jobs.local import postgres
    from launch_jobs.local.connection import connection

    to = connection(settings)
    if to is not None and not to.embedded:
        return Check("database", None, "the server's own", "")
    reason = postgres.missing()
    if reason:
        return Check("database", None, f"SQLite, because {reason}", "Enough for a few runs at once")
    cluster = postgres.installed(settings.home)
    postgres.check_major(cluster)
    state = "running" if cluster.running() else "not running"
    return Check("database", True, f"PostgreSQL {cluster.major} in {cluster.data}, {state}")


def _store(settings: LaunchSettings) -> Check:
    url = urlsplit(settings.store_url)
    if url.scheme != "file":
        return _store_elsewhere(settings)
    folder = Path(unquote(url.path))
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    with tempfile.NamedTemporaryFile(dir=nearest, prefix=".launch-doctor-") as file:
        file.write(b"doctor")
        file.flush()
        os.fsync(file.fileno())
        if Path(file.name).read_bytes() != b"doctor":
            return Check("store", False, f"{folder} does not give back what is written", "Choose another folder")
    return Check("store", True, f"{folder}: writes, reads and deletes" + ("" if nearest == folder else " (made later)"))


def _store_elsewhere(settings: LaunchSettings) -> Check:
    from launch_jobs.configured import configured_store
    from launch_jobs.local.connection import use_home_server

    use_home_server(settings)
    configured_store(settings)
    return Check("store", True, f"{settings.store_url}: opens")


def _disk(settings: LaunchSettings) -> Check:
    nearest = next(parent for parent in (settings.home, *settings.home.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    detail = f"{free / 1e9:.1f} GB free at {nearest}"
    if free < _LOW_DISK_BYTES:
        return Check("disk", False, detail, "Make room: images and outputs need gigabytes")
    return Check("disk", True, detail)


def _docker(settings: LaunchSettings) -> list[Check]:
    """Docker is optional: without it there are process queues."""
    from launch_jobs import engine as door

    try:
        engine = door.connect(timeout_s=_LIMIT_S)
    except LaunchError as error:
        return [Check("docker", None, error.what, f"{error.do}; without it only process queues work")]
    try:
        with door.errors():
            version = str(engine.version().get("Version"))
        return [Check("docker", True, f"Docker Engine {version}"), _builder(), _base_image(engine, settings)]
    except LaunchError as error:
        return [Check("docker", None, error.what, error.do)]
    finally:
        engine.close()


def _cluster() -> Check:
    """The cluster that this machine's own configuration names; queues may name others."""
    from launch_jobs.cluster import sign_of_life

    try:
        return Check("kubernetes", True, asyncio.run(asyncio.wait_for(sign_of_life(), _LIMIT_S)))
    except (LaunchError, TimeoutError) as error:
        what = error.what if isinstance(error, LaunchError) else f"no answer within {_LIMIT_S} s"
        return Check("kubernetes", None, what, "Set KUBECONFIG to serve Kubernetes queues")


def _builder() -> Check:
    program = shutil.which("docker")
    if program is None:
        return Check(
            "builder", None, "classic builder: no docker command here", "Install the docker command for BuildKit"
        )
    try:
        found = subprocess.run([program, "buildx", "version"], capture_output=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("builder", None, f"{program}: {error}", "Mend the docker command for BuildKit")
    if found.returncode == 0:
        return Check("builder", True, f"BuildKit by buildx: {found.stdout.decode(errors='replace').strip()}")
    return Check("builder", True, "BuildKit of the engine or its classic builder (no buildx)")


def _base_image(engine: Engine, settings: LaunchSettings) -> Check:
    """Nothing is pulled here."""
    from launch_jobs.engine import errors

    reference = settings.base_image
    if reference is None:
        return Check("base image", None, "python:<minor>-slim, pulled at the first build", "LAUNCH_JOBS_BASE_IMAGE")
    try:
        with errors():
            found = engine.inspect_image(reference)
    except NotFound:
        return Check("base image", None, f"{reference} is not on this engine", "The first build pulls it")
    return Check("base image", True, f"{reference} is here ({str(found.get('Id'))[:19]})")


def _tool(name: str, purpose: str, do: str) -> Check:
    path = shutil.which(name)
    return Check(name, True, f"{path}: {purpose}") if path else Check(name, None, "not on PATH", do)
