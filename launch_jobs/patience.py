"""Infrastructure and store may be away: what is idempotent is asked again until they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import ParamSpec, TypeVar

from launch_jobs.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
RETRY_SECONDS = 2.0


async def reach(call: Callable[[], Coroutine[object, object, T]]) -> T:
    """Repeat an idempotent call until the infrastructure answers: its absence is never the run's end."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)


async def stored(write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Write to the store, waiting while it does not answer (a full disk that is freed, an S3 that comes back)."""
    return await reach(lambda: asyncio.to_thread(write, *args, **kwargs))
