"""Named points at which the fault campaign lets this process die as if by `kill -9`. Otherwise they do nothing.

`LAUNCH_JOBS_CRASH_AT=name[:nth[:stop]]` arms one (`tests/faults`); the process says so when it starts. With `stop` it
is frozen there, as a suspended machine is, until somebody sends it SIGCONT. Crash points beat kills at random: each one
is hit in every campaign.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

VARIABLE = "LAUNCH_JOBS_CRASH_AT"
POINTS = (
    *("claim.before", "claim.after", "place.before", "place.after", "start.before", "start.after"),
    *("exit.after", "outputs.after", "outcome.before", "outcome.after", "remove.after"),
    *("adopt.before", "requeue.before", "stop.after", "batch.made", "batch.release"),
)

_armed, _nth, _how = [*os.environ.get(VARIABLE, "").split(":"), "", ""][:3]
_left = int(_nth or 1) if _armed else 0
if _armed:
    print(
        f"This process {'stops' if _how else 'dies'} at {_armed} ({VARIABLE}): for tests only",
        file=sys.stderr,
        flush=True,
    )


def reach(point: str) -> None:
    """Die or stop here if this point is armed, the nth time it is reached."""
    global _left  # noqa: PLW0603 - a count of this process
    if point != _armed:
        return
    _left -= 1
    if _left == 0 and _how == "stop":
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread goes no further, and so none does
    elif _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
