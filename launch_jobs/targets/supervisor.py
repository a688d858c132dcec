"""Owns one program on a process queue and survives the agent. Standard library only; run as a script.

`python -I -S supervisor.py FOLDER` reads FOLDER/spec.json (`argv`, `env`, `directory`, `files`, `secrets`), detaches,
and returns when the program runs or can never run. It leaves in FOLDER: `started` (whoever makes it is the only one
to start the program), `lock` (held while the supervisor lives), `status.json` and `log`. A file `stop` in it, holding
the grace in seconds, asks for the end.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict, cast

POLL_S = 0.1
RETRY_S = 1.0
NOT_FOUND, NOT_EXECUTABLE = 127, 126

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class File(TypedDict):
    """A file to be put in another's place before the program starts."""

    path: str
    before: str
    after: str


class Order(TypedDict):
    """What `spec.json` holds."""

    argv: list[str]
    env: dict[str, str]
    directory: str
    files: NotRequired[list[File]]
    secrets: NotRequired[dict[str, str]]


class Report(TypedDict, total=False):
    """What `status.json` holds; times are ISO 8601 UTC, `ticks` the start time of `pid` in clock ticks since boot.

    `peak` is the most memory that any one process of the program had, in bytes.
    """

    state: str
    pid: int
    ticks: int
    exit_code: int
    error: str
    started: str
    ended: str
    signalled: str
    killed: str
    peak: int


def main(folder: Path) -> int:
    """Detach, start the program once, and stay until its whole process tree is gone."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os.read(ready, 1)  # returns when the child says so, or is gone
        return 0
    os.close(ready)
    os.setsid()
    if _claim(folder):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _supervise(folder, lambda: os.close(tell))
    return 0


def _claim(folder: Path) -> bool:
    """Take the lock for life and the right to start; whether both were free."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(folder / "started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except (BlockingIOError, FileExistsError):
        return False
    return True


def _supervise(folder: Path, tell: Callable[[], None]) -> None:
    call_kernel(_PR_SET_CHILD_SUBREAPER, 1)
    order = cast("Order", json.loads((folder / "spec.json").read_text()))
    report: Report = {"state": "running", "started": _now()}
    try:
        program = _start(_complete(order, folder), folder / "log")
    except (OSError, ValueError) as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        _forget(folder)
        _write(folder, report | {"state": "exited", "exit_code": code, "error": str(error), "ended": _now()})
        return
    report |= {"pid": program.pid, "ticks": start_ticks(program.pid) or 0}
    _write(folder, report)
    tell()
    code = _wait(program.pid, folder / "stop", report)
    _bury()
    if sys.platform == "linux":
        report["peak"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    _forget(folder)
    _write(folder, report | {"state": "exited", "exit_code": code, "ended": _now()})


def _complete(order: Order, folder: Path) -> Order:
    """The order with the variables whose values are in files beside it."""
    given = {name: (folder / file).read_text().rstrip("\n") for name, file in order.get("secrets", {}).items()}
    return cast("Order", {**order, "env": {**order["env"], **given}})


def _forget(folder: Path) -> None:
    """Secrets are there as long as the program is."""
    for file in (folder / "secrets").glob("*"):
        file.unlink(missing_ok=True)


def _start(order: Order, log: Path) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own; it dies with us, since nobody could tell its end then."""

    def in_child() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        call_kernel(_PR_SET_PDEATHSIG, signal.SIGKILL)

    for file in order.get("files", []):
        _put(file)
    directory = order["directory"]
    if not Path(directory).is_dir():
        raise NotADirectoryError(f"no directory {directory!r}")
    with log.open("ab", buffering=0) as output:
        return subprocess.Popen(
            order["argv"],
            env=order["env"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=in_child,  # noqa: PLW1509 # this process has one thread
        )


def _put(file: File) -> None:
    """Mode and times stay: a file that is only put there is no output of the program."""
    path = Path(file["path"])
    there = path.lstat() if path.exists() else None
    if there is None or path.is_symlink() or path.read_bytes() != file["before"].encode():
        raise ValueError(f"{path} is not the file that was captured: its parameters cannot be set")
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(file["after"].encode())
    new.chmod(there.st_mode)
    os.utime(new, ns=(there.st_atime_ns, there.st_mtime_ns))
    new.replace(path)


def _wait(pid: int, stop: Path, report: Report) -> int:
    """The program's exit code (128+n for signal n), when it ended by itself or because `stop` was asked for.

    What was sent to it then is in `report`.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN would lose the exit code
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    asked: float | None = None
    while True:
        for child, status in _reaped():
            if child == pid:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
        grace = _grace(stop)
        if grace is not None and asked is None:
            asked = time.monotonic()
            report["signalled"] = _now()
            _signal_group(pid, signal.SIGTERM)
        if grace is not None and asked is not None and time.monotonic() >= asked + grace:
            report.setdefault("killed", _now())
            _kill_descendants()
        signal.sigtimedwait({signal.SIGCHLD}, POLL_S)


def _grace(stop: Path) -> float | None:
    try:
        return float(stop.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _reaped() -> list[tuple[int, int]]:
    """Collect all children that ended: (pid, wait status)."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.append((pid, status))


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _kill_descendants() -> None:
    """Send SIGKILL to everything below us, however it detached."""
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _bury() -> None:
    """Kill until nothing is left; what cannot die yet is waited for, since it would still write."""
    pause = 0.005
    while _has_children():
        _kill_descendants()
        _reaped()
        time.sleep(pause)
        pause = min(1.0, pause * 2)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def descendants(ancestor: int) -> list[int]:
    """Pids of all living processes below one, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields and fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    pending = [ancestor]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def start_ticks(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot: with the pid it names a process for good."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != b"Z" else None


def _stat(pid: int) -> list[bytes] | None:
    """Fields of /proc/PID/stat from the third (state) on; the second may hold blanks and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def call_kernel(option: int, value: int) -> None:
    """Linux's prctl(2); elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _write(folder: Path, report: Report) -> None:
    """Replace `status.json`, again and again while the disk is full or fails: nobody else knows the program's end."""
    while True:
        try:
            return _replace(folder, report)
        except FileNotFoundError:
            return None  # the folder is gone, and with it whoever asks
        except OSError:
            time.sleep(RETRY_S)


def _replace(folder: Path, report: Report) -> None:
    """Atomically and durably."""
    new = folder / "status.json.new"
    with new.open("w") as file:
        json.dump(report, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / "status.json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
