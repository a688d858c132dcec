"""`launch agent`: serve launch queues from this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypedDict, Unpack

import click

from launch_jobs.cli.output import emit, json_option, next_command, progress
from launch_jobs.cli.session import server_session, wait


class _Given(TypedDict):
    max_jobs: int | None
    devices: str | None
    allow_process: bool
    health_port: int | None
    log_json: bool


@click.command("agent")
@click.option("-q", "--queue", "queues", metavar="QUEUE", multiple=True, required=True, help="Repeatable.")
@click.option("--max-jobs", type=click.IntRange(min=1), help="Most runs at once over all its queues.")
@click.option("--devices", metavar="gpu:0,gpu:1", help="GPUs that this agent owns; default: all that NVML tells of.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The agent's own file: what this host grants; default: agent.toml in LAUNCH_JOBS_HOME.",
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    help="Answer /healthz and /metrics (Prometheus) on this port of 127.0.0.1; 0 takes a free one.",
)
@click.option("--log-json", is_flag=True, help="Log JSON lines on stderr; also by LAUNCH_JOBS_LOG_FORMAT=json.")
@click.option("--drain", is_flag=True, help="End when nothing is left to do.")
@click.option("--allow-process", is_flag=True, help="Serve process queues of a server that is not on loopback.")
@json_option
def agent_command(
    queues: tuple[str, ...], config: Path | None, drain: bool, as_json: bool, **given: Unpack[_Given]
) -> None:
    """Claim runs from queues and run them on this machine.

    On SIGTERM it leaves at once; containers and processes go on, and the next agent adopts them.
    """
    if given["allow_process"]:
        os.environ["LAUNCH_JOBS_ALLOW_PROCESS"] = "1"
    server_session(quiet=False)
    from launch_jobs.workers.agent import AgentOptions, run_agent
    from launch_jobs.workers.json_logs import is_asked_for, log_json_lines

    if given["log_json"] or is_asked_for():
        log_json_lines()
    served = list(dict.fromkeys(queues))
    options: AgentOptions = {"max_jobs": given["max_jobs"], "health_port": given["health_port"]}
    devices = given["devices"]
    options |= {"drain": drain, "config": config, "devices": None if devices is None else devices.split(",")}
    wait(run_agent(served, say=progress, **options))
    if as_json:
        emit({"queues": list(queues), "drained": drain})
    elif sys.stderr.isatty():
        next_command("launch list")
