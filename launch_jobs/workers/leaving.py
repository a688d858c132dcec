"""How an agent leaves: logs flushed, nothing cancelled. A clean stop is the same path as `kill -9`."""

from __future__ import annotations

import os
import sys
import threading

from prefect.logging.handlers import APILogWorker

_FLUSH_SECONDS = 4.0


def leave() -> None:
    """Flush logs for at most 4 s and end this process at once; containers and supervised processes stay."""

    def flush_and_go() -> None:
        APILogWorker.drain_all(timeout=_FLUSH_SECONDS)
        sys.stdout.flush()
        os._exit(0)

    # From a thread without an event loop, where draining blocks.
    threading.Thread(target=flush_and_go, daemon=True).start()
