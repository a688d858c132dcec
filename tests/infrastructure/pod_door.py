"""A door for pods to a server that listens on this host's loopback only, such as the tests' Prefect and S3 servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cluster.layout import HOST_ADDRESS


@dataclass(frozen=True)
class _Door:
    port: int

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy bytes both ways until neither side has more."""
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await _shut(writer)
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            await _shut(writer)
            await _shut(inner_writer)


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()


@contextmanager
def door_for_pods(port: int) -> Generator[str]:
    """Let pods of our cluster reach a loopback port of this host, at the host and port that this yields."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(_Door(port).pass_on, HOST_ADDRESS, 0))
    thread = threading.Thread(target=loop.run_forever, name=f"door to {port}")
    thread.start()
    try:
        yield f"{HOST_ADDRESS}:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
