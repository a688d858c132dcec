"""Tracks the process it is called in, as `launch run` would have. Standard library only, CPython 3.8 and later.

A process of ours beside the script takes its source at once, waits until the script ends, however it ends, and then
makes the job: so the script's own end stays what it is, and even SIGKILL leaves a job.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from typing import IO, Any

_INJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inject")  # noqa: PTH100, PTH118, PTH120

_NO_SCRIPTS = frozenset(("ipykernel", "pytest"))
"""Who has imported one of these is a notebook's kernel or a test: nothing that could be started again as a job."""


def attach(name: str | None) -> bool:
    """Begin to track this process; whether that went well. If not, one line on the error output says why."""
    if sys.argv[0] in ("", "-c", "-m") or not _NO_SCRIPTS.isdisjoint(sys.modules):
        return False
    command = [sys.executable, *getattr(sys, "orig_argv", [None, *sys.argv])[1:]]
    beside = subprocess.Popen(
        [sys.executable, "-m", "launch_jobs.cli.beside"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the script
    )
    _tell(beside.stdin, {"command": command, "pid": os.getpid(), "name": name})
    answer = json.loads((beside.stdout.readline() if beside.stdout else b"") or "{}")
    if not answer:
        beside.wait()  # it has said why
        return False
    os.environ.update(answer)
    atexit.register(_end, beside, os.getpid())  # before the tracker's own, so that it runs after that
    load("_launch_tracker")["start"]()
    return True


def load(module: str) -> dict[str, Any]:
    """The names of one of the tracker's modules, which does not become a module of the program."""
    code = SourceFileLoader(module, os.path.join(_INJECT, module + ".py")).get_code(module)  # noqa: PTH118
    space: dict[str, Any] = {"__name__": module, "load": load}
    if code is not None:
        exec(code, space)  # noqa: S102
    return space


def _end(beside: subprocess.Popen[bytes], pid: int) -> None:
    if os.getpid() == pid:
        # What Python keeps of an exception that nobody caught; the code of sys.exit is kept nowhere.
        _tell(beside.stdin, {"exit_code": int(getattr(sys, "last_value", None) is not None)})
        beside.wait()


def _tell(stream: IO[bytes] | None, document: dict[str, object]) -> None:
    try:
        if stream is not None:
            stream.write(json.dumps(document).encode() + b"\n")
            stream.flush()
    except OSError:
        pass  # it is gone, and has said why
