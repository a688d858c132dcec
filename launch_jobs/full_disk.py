"""A disk of ours may be full, or fail: what is made on it is made again, for that is never the run's failure."""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable, Coroutine
from typing import TypeVar

from launch_jobs.errors import BuildError, StoreError

T = TypeVar("T")

_AGAIN_S = 2.0
_ILL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
_SAID = re.compile("no space left on device|disk quota exceeded", re.IGNORECASE)
"""By git, uv and builders, whose errors are texts."""


def tells_ill_disk(error: Exception) -> bool:
    """Whether an error is a disk's, ours or that of a tool which said so."""
    if isinstance(error, OSError):
        return error.errno in _ILL
    return isinstance(error, (BuildError, StoreError)) and _SAID.search(str(error)) is not None


async def on_disk(make: Callable[[], Coroutine[object, object, T]], say: Callable[[str], None]) -> T:
    """Make something that can be made again on this host's disk, waiting while that is full or fails; said once."""
    is_told = False
    while True:
        try:
            return await make()
        except (OSError, BuildError, StoreError) as error:
            if not tells_ill_disk(error):
                raise
            if not is_told:
                say(f"Waiting for this host's disk: {str(error).strip().splitlines()[-1]}")
            is_told = True
        await asyncio.sleep(_AGAIN_S)
