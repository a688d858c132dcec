"""Brings home what a keeper holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from launch_jobs.cluster import Cluster, CommandFailed
from launch_jobs.targets.kubernetes.keeper import KEEPER, NOTES
from launch_jobs.targets.outputs import OutputFolder, keep_archive


async def fetch(cluster: Cluster, pod: str, folder: str, outputs: OutputFolder, prefix: PurePosixPath) -> None:
    """Bring a folder of a keeper home: the stream is read by a thread, as fast as the disk takes it."""
    loop = asyncio.get_running_loop()
    stream = cluster.run(pod, KEEPER, ["tar", "-C", folder, "-cf", "-", "."])

    def chunks() -> Iterator[bytes]:
        while True:
            chunk = asyncio.run_coroutine_threadsafe(anext(stream, None), loop).result()
            if chunk is None:
                return
            yield chunk

    def keep() -> None:
        rest = chunks()
        keep_archive(outputs, rest, prefix, strip=0)
        for _ in rest:  # what tar prints after the archive's end
            pass

    try:
        await asyncio.to_thread(keep)
    except CommandFailed as error:
        outputs.leave_out(prefix / f"({folder}: {error.what})")
    finally:
        await stream.aclose()


def read_notes(outputs: OutputFolder, into: Path, prefix: PurePosixPath) -> None:
    """Paths that the program's wrapper could not copy."""
    notes = into / prefix / NOTES
    with suppress(OSError):
        for line in notes.read_text(errors="replace").splitlines():
            outputs.leave_out(prefix / line)
        notes.unlink()
