"""Disks that are full, or fail: of the store, of an agent's home, and in system calls at random."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from fault_bench import How, mount_small, unmount
from fault_kinds import WAIT_S
from fault_round import Round

_HOME_SIZE = "24m"
_CALLS = {"fsync,fdatasync": "EIO", "rename,renameat,renameat2": "ENOSPC"}


async def disk_full(round: Round, runs: int) -> None:
    """F41: the disk of the store is full while runs end, and has room again."""
    store = round.bench.home / "store"
    if not store.is_mount():
        round.notes.append("missed: no disk of its own could be mounted")
        return
    round.agent()
    await _ends_without_room(round, runs, store)


async def home_full(round: Round, runs: int) -> None:
    """F41: the disk of the agent's home, on which its processes and their output are, is full while runs end."""
    home = round.folder / "small"
    home.mkdir()
    if not mount_small(home, _HOME_SIZE):
        round.notes.append("missed: no disk of its own could be mounted")
        return
    round.stack.callback(unmount, home)
    round.agent(How(home=home))
    await _ends_without_room(round, runs, home)


async def _ends_without_room(round: Round, runs: int, disk: Path) -> None:
    await round.submit(runs, seconds=2)
    round.note_missed(await round.bench.until(lambda: len(round.started()) >= runs, WAIT_S), "not all started")
    await asyncio.sleep(0.5)
    with _filled(disk):
        await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
        await asyncio.sleep(5)


@contextmanager
def _filled(disk: Path) -> Generator[None]:
    fill = disk / "fill"
    with fill.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    try:
        yield
    finally:
        fill.unlink()


async def calls_fail(round: Round, runs: int) -> None:
    """F42: fsync and rename of the agent and of what it starts fail now and then, with EIO and ENOSPC."""
    if not shutil.which("strace"):
        round.notes.append("missed: no strace here")
        return
    agent = round.agent()
    there = await round.bench.until(lambda: b" serves " in agent.log.read_bytes(), WAIT_S)
    round.note_missed(there, "an agent did not come")
    random = round.bench.random
    rules = [
        f"--inject={calls}:error={error}:when={random.randint(1, 2)}+{random.randint(2, 3)}"
        for calls, error in _CALLS.items()
    ]
    with _traced(agent.process.pid, rules):
        await round.submit(runs, seconds=1)
        await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
        await asyncio.sleep(5)


@contextmanager
def _traced(pid: int, rules: list[str]) -> Generator[None]:
    """Have a process and its children traced; strace leaves them when it is asked to end."""
    quiet = subprocess.DEVNULL
    traced = f"--trace={','.join(_CALLS)}"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), traced, *rules]
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
