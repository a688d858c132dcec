"""The one place in which the test cluster starts programs of this host."""

from __future__ import annotations

import subprocess
from typing import IO


class ClusterError(Exception):
    """The test cluster cannot be had; the message says why, and what to do."""


def run(*command: str, stdin: IO[bytes] | None = None, check: bool = True) -> str:
    """Run a short program to its end, and return what it printed.

    Raises:
        ClusterError: it failed, and `check` is set.
    """
    source = stdin or subprocess.DEVNULL
    try:
        done = subprocess.run(command, stdin=source, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ClusterError(f"{command[0]}: {error.strerror}") from error
    if check and done.returncode:
        raise ClusterError(
            f"{' '.join(command[:6])}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}"
        )
    return done.stdout
