"""Bars on a terminal's stderr: bytes, and the steps of a build. Without a terminal: nothing, or plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from launch_jobs.build.progress import read_step
from launch_jobs.cli.output import console, printable, progress

T = TypeVar("T")


@contextmanager
def build_bar() -> Generator[Callable[[str], None]]:
    """Take lines of build output: a bar of steps with the newest line on a terminal, else the lines themselves."""
    if not sys.stderr.isatty():
        yield progress
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def say(line: str) -> None:
            if step := read_step(line):
                bar.update(task, completed=step.number, total=step.total)
            bar.update(task, description=printable(line.strip())[:100])

        yield say


async def fetch_bar(work: Coroutine[object, object, T], sizes: Mapping[Path, int]) -> T:
    """Await work that writes files of known sizes; on a terminal with a bar of the bytes of those that are whole."""
    if not sys.stderr.isatty():
        return await work
    import asyncio

    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    begin = time.time()
    working = asyncio.ensure_future(work)
    columns = (BarColumn(20), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task("", total=sum(sizes.values()))
        while not working.done():
            bar.update(task, completed=sum(size for path, size in sizes.items() if _written(path, begin)))
            await asyncio.wait({working}, timeout=0.1)
    return working.result()


def _written(path: Path, begin: float) -> bool:
    try:
        return path.stat().st_mtime >= begin
    except OSError:
        return False
