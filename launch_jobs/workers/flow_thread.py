"""The agent's second thread: one event loop in which all launch flows run.

In the main thread Prefect's engine takes over SIGTERM and marks every run Crashed; in a second thread it cannot. And
polling, heartbeat and cancel go on while a flow is busy.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import TypeVar

T = TypeVar("T")


class FlowThread:
    """An event loop in a daemon thread; it ends with the process, never before its flows."""

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="launch-flows", daemon=True).start()
        return loop

    def submit(self, work: Coroutine[object, object, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine there; may be called from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], object]) -> None:
        """Call a plain function there, soon."""
        self._loop.call_soon_threadsafe(function)
