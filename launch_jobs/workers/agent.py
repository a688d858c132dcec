"""`launch agent -q a -q b`: several launch queues, of different types too, served by one process."""

from __future__ import annotations

import platform
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from launch_jobs.agent_file import agent_file_path, load_agent_file
from launch_jobs.client import connect
from launch_jobs.queue import complete_queue, read_queue
from launch_jobs.settings import load_settings
from launch_jobs.workers.docker import DockerWorker
from launch_jobs.workers.flow_thread import FlowThread
from launch_jobs.workers.ownership import Ownership
from launch_jobs.workers.process import ProcessWorker
from launch_jobs.workers.serving import catch_signals, serve
from launch_jobs.workers.slots import Slots
from launch_jobs.workers.worker import LaunchWorker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WORKERS: dict[str, type[LaunchWorker]] = {worker.type: worker for worker in (DockerWorker, ProcessWorker)}


async def run_agent(
    queues: list[str],
    *,
    max_jobs: int | None = None,
    drain: bool = False,
    config: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve launch queues until SIGTERM; with `drain`, until the queues are empty and all is over.

    Args:
        queues: their names.
        max_jobs: most runs at once.
        drain: see above.
        config: the agent's file; None: `agent.toml` in the home.
        say: what to do with a line for people.

    Raises:
        BadInput, Refused: the agent's file is wrong, or not its owner's alone.
        NotFound: there is no such queue.
        Unavailable: the server does not answer.
    """
    home = load_settings().home
    agent_file = load_agent_file(config or agent_file_path(home), must_exist=config is not None)
    async with connect() as client:
        pools = [await read_queue(client, name) for name in queues]
        for pool in pools:
            await complete_queue(client, pool)
    slots, thread = Slots(max_jobs), FlowThread()
    # The server keeps one heartbeat a name: it must be this home's alone.
    name = f"{platform.node()}-agent-{Ownership(home).identity[:6]}"
    workers = [
        _WORKERS[pool.type](
            work_pool_name=pool.name,
            name=name,
            create_pool_if_not_found=False,
            agent_file=agent_file,
            slots=slots,
            thread=thread,
        )
        for pool in pools
    ]
    catch_signals(workers)
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        say(f"Agent {name} serves {', '.join(queues)}")
        await serve(workers, until_empty=drain)
