"""An agent as a process: started, told, ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_S = 15


@contextmanager
def serving(argv: list[str], log: Path, environment: Mapping[str, str]) -> Generator[subprocess.Popen[bytes]]:
    """An agent that runs; ended at the end, and what it said is shown if something goes wrong meanwhile."""
    with log.open("ab") as file:
        agent = subprocess.Popen(argv, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield agent
    except BaseException:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr, flush=True)
        raise
    finally:
        end(agent)


def end(agent: subprocess.Popen[bytes]) -> None:
    """Ask an agent to leave, and see to it."""
    agent.terminate()
    try:
        agent.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()
