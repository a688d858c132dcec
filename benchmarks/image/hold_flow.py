"""The stock worker's long job: a flow that goes on until it is let go."""

import signal
import time
from pathlib import Path

from prefect import flow


@flow(persist_result=False)
def hold(stubborn: bool = False) -> None:
    """Wait for a file on a volume, and end well."""
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while not Path("/release/now").exists():
        time.sleep(0.2)
