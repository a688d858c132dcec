"""The agent's second thread: one event loop in which all launch flows run.

In the main thread Prefect's engine takes over SIGTERM and marks every run Crashed; in a second thread it cannot. And
polling, heartbeat and cancel go on while a flow is busy.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import TypeVar

from launch_jobs.workers.prefect_internals import enter_client_context

T = TypeVar("T")
_THREADS = 40
_logger = logging.getLogger("launch_jobs.agent")


class FlowThread:
    """An event loop in a daemon thread; it ends with the process, never before its flows."""

    def __init__(self) -> None:
        self._opening: asyncio.Task[contextvars.Context] | None = None

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        # The default's few threads would all be taken by a few large datasets, and every log would stand still.
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="launch-io"))
        threading.Thread(target=loop.run_forever, name="launch-flows", daemon=True).start()
        return loop

    def submit(self, work: Coroutine[object, object, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine there; may be called from any thread."""
        return asyncio.run_coroutine_threadsafe(self._with_client(work), self._loop)

    def call(self, function: Callable[[], object]) -> None:
        """Call a plain function there, soon."""
        self._loop.call_soon_threadsafe(function)

    async def _with_client(self, work: Coroutine[object, object, T]) -> T:
        """Do the work with the thread's one Prefect client: a client of its own for each run costs 100 ms of CPU."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.ensure_future(_client_context())
        try:
            context = (await asyncio.shield(self._opening)).copy()
        except Exception as error:  # noqa: BLE001 - whatever it is, the work meets it again, and says so of its run
            _logger.debug("No shared client yet: %s", error)
            return await work
        return await asyncio.get_running_loop().create_task(work, context=context)


async def _client_context() -> contextvars.Context:
    """A context whose work finds the Prefect client open; nobody closes it but the end of the process."""
    await enter_client_context()
    return contextvars.copy_context()
