"""Running build tools."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from launch_jobs.build.command import TAIL_LINES, run

pytestmark = pytest.mark.anyio


async def test_lines_of_both_outputs_arrive_without_colour() -> None:
    """The log is text; the last lines and the code come back."""
    lines: list[str] = []
    script = "printf 'one\\n\\033[31mtwo\\033[0m\\r' && echo three >&2 && printf four && exit 3"
    ended = await run(["sh", "-c", script], log=lines.append)
    assert lines == ["one", "two", "three", "four"]
    assert (ended.code, ended.tail) == (3, "one\ntwo\nthree\nfour")


async def test_only_the_last_lines_are_kept() -> None:
    """A long log does not fill an error message."""
    ended = await run([sys.executable, "-c", "for i in range(5000): print(i)"], log=lambda line: None)
    assert ended.tail.split("\n") == [str(n) for n in range(5000 - TAIL_LINES, 5000)]


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    """It is cut into pieces."""
    sizes: list[int] = []
    await run([sys.executable, "-c", "print('x' * 1000000)"], log=lambda line: sizes.append(len(line)))
    assert sum(sizes) == 1_000_000
    assert max(sizes) < 200_000


async def test_a_cancelled_command_takes_its_children_along(tmp_path: Path) -> None:
    """The whole process group ends, not only its leader."""
    started = asyncio.Event()
    pids: list[int] = []

    def log(line: str) -> None:
        pids.append(int(line))
        started.set()

    work = asyncio.create_task(run(["sh", "-c", "sleep 1000 & echo $!; wait"], log=log))
    await asyncio.wait_for(started.wait(), 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not _alive(pids[0])


def _alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
