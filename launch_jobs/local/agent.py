"""The embedded agent: `launch agent` as a detached process, logging into the home folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from launch_jobs.errors import Unavailable
from launch_jobs.local import processes
from launch_jobs.local.connection import client_environment, connection
from launch_jobs.settings import LaunchSettings

_COMMAND = ("-m", "launch_jobs", "agent")
_STOP_S = 15  # an agent leaves within 5 s of SIGTERM (DESIGN 7)


def folder(settings: LaunchSettings) -> Path:
    """Working folder of the agent: the Prefect project it loads flows from."""
    return settings.home / "project"


def log(settings: LaunchSettings) -> Path:
    """Where the agent writes."""
    return settings.home / "logs" / "agent.log"


def running(settings: LaunchSettings) -> list[psutil.Process]:
    """The agent's live processes (one, or none)."""
    return processes.running(" ".join(_COMMAND), folder=folder(settings))


def start_agent(settings: LaunchSettings, queues: list[str]) -> bool:
    """See to it that one agent serves exactly these queues of the embedded server. True if one was started.

    An agent on other queues, or one that talks to a former server, is replaced; its runs go on and are adopted. This
    does not wait until the new one polls.

    Raises:
        Unavailable: no server is up, or the agent in the way cannot be stopped.
    """
    to = connection(settings)
    if to is None:
        raise Unavailable("No server is up for an agent", do="Run `launch up`")
    argv = [sys.executable, *_COMMAND, *(word for queue in queues for word in ("-q", queue))]
    wanted = client_environment(to) | {"LAUNCH_JOBS_HOME": str(settings.home)}
    present = running(settings)
    if len(present) == 1 and _serves(present[0], argv, wanted):
        return False
    stop(settings)
    processes.start(argv, folder=folder(settings), log=log(settings), environment=_environment() | wanted)
    return True


def stop(settings: LaunchSettings) -> None:
    """Stop the agent if it runs; containers and supervised processes stay for the next one to adopt."""
    processes.stop(running(settings), seconds=_STOP_S)


def _environment() -> dict[str, str]:
    """The caller's, without its Prefect settings: a shell that talks to another server, or a quiet log level of the
    caller's own, must not reach the agent.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return inherited | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def _serves(process: psutil.Process, argv: list[str], wanted: dict[str, str]) -> bool:
    try:
        environment = process.environ()
        return process.cmdline()[1:] == argv[1:] and wanted.items() <= environment.items()
    except psutil.Error:
        return False
