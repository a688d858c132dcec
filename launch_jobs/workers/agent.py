"""`launch agent -q a -q b`: several launch queues, of different types too, served by one process."""

from __future__ import annotations

import math
import platform
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypedDict, Unpack

from launch_jobs.agent_file import agent_file_path, allowed_devices, load_agent_file
from launch_jobs.client import connect
from launch_jobs.metrics import LIMIT
from launch_jobs.queue import complete_queue, read_queue
from launch_jobs.settings import load_settings
from launch_jobs.workers.devices import owned_devices
from launch_jobs.workers.docker import DockerWorker
from launch_jobs.workers.flow_thread import FlowThread
from launch_jobs.workers.health import Health, HealthServer
from launch_jobs.workers.kubernetes import KubernetesWorker
from launch_jobs.workers.ownership import Ownership
from launch_jobs.workers.process import ProcessWorker
from launch_jobs.workers.serving import catch_signals, serve
from launch_jobs.workers.slots import Slots
from launch_jobs.workers.worker import LaunchWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_WORKERS: dict[str, type[LaunchWorker]] = {
    worker.type: worker for worker in (DockerWorker, KubernetesWorker, ProcessWorker)
}


class AgentOptions(TypedDict, total=False):
    """What an agent can be told, all of it optional.

    Attributes:
        max_jobs: most runs at once.
        drain: end when the queues are empty and all is over.
        devices: names of the GPUs that it owns, all of them among those of its file if that names any.
        config: the agent's file; default: `agent.toml` in the home.
        health_port: port on loopback for its health and metrics; 0: a free one; default: it tells nobody.
    """

    max_jobs: int | None
    drain: bool
    devices: Sequence[str] | None
    config: Path | None
    health_port: int | None


async def run_agent(queues: list[str], *, say: Callable[[str], None] = print, **options: Unpack[AgentOptions]) -> None:
    """Serve launch queues until SIGTERM, or until they are drained; `say` takes lines for people.

    Raises:
        BadInput, Refused: the agent's file is wrong, or not its owner's alone.
        NotFound: there is no such queue.
        Unavailable: the server does not answer.
    """
    settings = load_settings()
    home = settings.home
    config = options.get("config")
    agent_file = load_agent_file(config or agent_file_path(home), must_exist=config is not None)
    async with connect() as client:
        pools = [await read_queue(client, name) for name in queues]
        for pool in pools:
            await complete_queue(client, pool)
    devices = owned_devices(allowed_devices(options.get("devices"), agent_file), agent_file)
    slots, thread, health = Slots(options.get("max_jobs"), devices), FlowThread(), Health()
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
            health=health,
        )
        for pool in pools
    ]
    catch_signals(workers)
    async with AsyncExitStack() as stack:
        if (health_port := options.get("health_port")) is not None:
            server = HealthServer(health, health_port, settings.health_host)
            stack.callback(server.close)
            say(f"Health and metrics at {server.url}")
        for worker in workers:
            await stack.enter_async_context(worker)
        LIMIT.set(math.inf if slots.limit is None else slots.limit)
        say(f"Agent {name} serves {', '.join(queues)}")
        await serve(workers, until_empty=options.get("drain", False))
