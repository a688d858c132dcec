"""Detached processes: start one, find it again by what it is, stop it. The door to psutil.

Nothing is remembered: a process is found by its command line and working folder, so neither a crash between start and
write nor a reused process id can mislead us.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from launch_jobs.errors import Unavailable

_LOG_LIMIT_BYTES = 16 << 20
_STEP_S = 0.05

# Double fork: the program is adopted by init, has no terminal, and stays no zombie of a long-living caller. A program
# of its own because forking a process with threads (a notebook, pytest) is not safe.
_DETACH = "import os, sys; os.fork() and os._exit(0); os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"


def start(argv: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Start a program in its own session, its output appended to `log`; it outlives this process."""
    with _open_log(log) as output:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _DETACH, *argv],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def running(text: str, *, folder: Path | None = None, name: str = "") -> list[psutil.Process]:
    """Live processes whose command line contains `text`.

    Args:
        text: as arguments joined by blanks.
        folder: only those whose working folder it is (readable for the same user only).
        name: only those whose program is called so.
    """
    resolved = folder.resolve() if folder else None
    return [process for process in psutil.process_iter() if _is(process, text, resolved, name)]


def _is(process: psutil.Process, text: str, folder: Path | None, name: str) -> bool:
    with suppress(psutil.Error, OSError):
        if text not in " ".join(process.cmdline()) or (name and process.name() != name):
            return False
        return process.pid != os.getpid() and (folder is None or Path(process.cwd()) == folder)
    return False


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def stop(processes: Iterable[psutil.Process], *, seconds: float) -> None:
    """Ask processes to end (SIGTERM), and after `seconds` end them (SIGKILL).

    Raises:
        Unavailable: one does not even die by SIGKILL (it hangs in the kernel), or is not ours to kill.
    """
    processes = list(processes)
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
            process.resume()  # a stopped process takes no SIGTERM
    left = wait_gone(processes, seconds=seconds)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    left = wait_gone(left, seconds=5)
    if left:
        raise Unavailable(f"Process {left[0].pid} cannot be stopped", do="Look at it with `ps -fp`, then try again")


def wait_gone(processes: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait for the end of processes; returns those still alive after `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(_STEP_S)
    return left


def last_line(log: Path) -> str:
    """The last line that says something, for an error message."""
    try:
        lines = log.read_text(errors="replace")[-4000:].splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _open_log(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    return log.open("ab")
