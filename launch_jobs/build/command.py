"""Running a build tool: its output line by line, and no process left when the caller goes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from launch_jobs.build import Log

TAIL_LINES = 15
GRACE_S = 5.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code, negative for a signal.
        tail: its last lines.
    """

    code: int
    tail: str


async def run(
    argv: Sequence[str],
    *,
    log: Log,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    keep: Sequence[int] = (),
) -> Ended:
    """Run a command to its end, each line of both its outputs to `log`. Cancelled, it ends the whole process group.

    Args:
        argv: program and arguments.
        log: takes each line.
        env: its whole environment; None: ours.
        stdin: an open file; None: nothing.
        keep: descriptors that the command holds open too, such as that of a lock which must outlive us with it.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=stdin or asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
        start_new_session=True,
        pass_fds=keep,
    )
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    try:
        async for line in _lines(process):
            log(line)
            tail.append(line)
        code = await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)
    return Ended(code, "\n".join(tail))


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    rest = b""
    while process.stdout and (chunk := await process.stdout.read(_LONGEST_LINE)):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            if text := _text(line):
                yield text
    if text := _text(rest):
        yield text


def _text(line: bytes) -> str:
    return _COLOUR.sub("", line.decode(errors="replace")).rstrip()


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), GRACE_S)
    except TimeoutError:
        pass
    finally:
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """The group outlives its leader, so it is told even if the leader is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
