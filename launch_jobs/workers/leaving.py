"""How an agent leaves: logs flushed, nothing cancelled. A clean stop is the same path as `kill -9`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from prefect.logging.handlers import APILogWorker

_FLUSH_SECONDS = 4.0
_GOODBYE_SECONDS = 0.8


def leave(say_goodbye: Callable[[float], object]) -> None:
    """Flush logs for at most 4 s, and end this process; containers and supervised processes stay.

    Args:
        say_goodbye: the last that is done, in so many seconds.
    """

    def flush_and_go() -> None:
        until = time.monotonic() + _FLUSH_SECONDS + _GOODBYE_SECONDS
        APILogWorker.drain_all(timeout=_FLUSH_SECONDS)
        sys.stdout.flush()
        # The last of all: from then on others take over what we had.
        with suppress(Exception):
            say_goodbye(max(_GOODBYE_SECONDS, until - time.monotonic()))
        os._exit(0)

    # From a thread without an event loop, where draining blocks.
    threading.Thread(target=flush_and_go, daemon=True).start()
