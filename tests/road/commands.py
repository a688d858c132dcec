"""`launch` commands on the road, as a user types them: without a terminal, or on one."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue
from walking import LIMIT_S, Road

Document = dict[str, JsonValue]


@dataclass(frozen=True)
class Ended:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Document:
        """Its one JSON document."""
        return cast("Document", json.loads(self.out))


def command(*arguments: str) -> list[str]:
    """The argument vector of a `launch` command."""
    return [sys.executable, "-m", "launch_jobs", *arguments]


def environment(road: Road, **more: str) -> dict[str, str]:
    """What a user on that machine has in the environment."""
    return {**os.environ, "LAUNCH_JOBS_HOME": str(road.home), **more}


async def typed(road: Road, *arguments: str, **more: str) -> Ended:
    """Type a command where there is no terminal, and wait for its end."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        cwd=road.home,
        env=environment(road, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


class Terminal:
    """A command on a terminal of its own, 80 columns wide."""

    def __init__(self, road: Road, *arguments: str) -> None:
        self._end, theirs = pty.openpty()
        # Started in the background, as in CI, we may ignore Ctrl-C; a user's shell does not hand that on.
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=road.home,
            env=environment(road, TERM="xterm", COLUMNS="80"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, ours)
        os.close(theirs)
        os.set_blocking(self._end, False)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of it survives a test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._end)

    def until(self, what: Callable[[str], object]) -> str:
        """Read what is on the screen until something holds of it."""
        deadline = time.monotonic() + LIMIT_S
        while not what(self.seen):
            assert time.monotonic() < deadline, self.seen[-2000:]
            self._read()
        return self.seen

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._end, text.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        self.until(lambda _: self.process.poll() is not None)
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        try:
            self.seen += os.read(self._end, 1 << 16).decode(errors="replace").replace("\r\n", "\n")
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # the other side is closed
            time.sleep(0.02)
