"""The server's order on queues without any limit, and by whose clock a run is due."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from uuid import uuid4

import pytest
from fault_bench import row_locked
from infrastructure.plugin import Connection

from launch_jobs.client import connect, create_run
from launch_jobs.queue import create_queue, delete_queue
from launch_jobs.workers.admission import Admission
from launch_jobs.workers.server_clock import ServerClock

pytestmark = pytest.mark.anyio


async def test_nobody_overtakes_a_run_that_the_poll_passes_over(connected: Connection) -> None:
    """It does so while the row is locked. What came before the locked one is still taken; afterwards all of them."""
    del connected
    queue = f"order-{uuid4().hex[:8]}"
    await create_queue(queue, "process")
    async with connect() as client:
        entry = await client.read_deployment_by_name(f"launch-job/queue.{queue}")
        made = [(await create_run(client, entry, {"parameters": {"job": "none"}})).id for _ in range(3)]

        async def found() -> tuple[list[object], list[object]]:
            soon = datetime.now(UTC) + timedelta(seconds=1)
            polled = await client.get_scheduled_flow_runs_for_work_pool(queue, scheduled_before=soon)
            taken = await Admission(queue).in_line(client, polled)
            return [one.flow_run.id for one in polled], [one.flow_run.id for one in taken]

        async with row_locked(Path(os.environ["LAUNCH_JOBS_TEST_SHARED"]) / "home", str(made[1])):
            assert await found() == ([made[0], made[2]], [made[0]])
        assert await found() == (made, made)
    await delete_queue(queue)


def test_the_servers_clock_counts() -> None:
    """However wrong ours is: within a second, and it goes on by itself."""
    clock, there = ServerClock(), datetime(2031, 5, 5, 12, tzinfo=UTC)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    clock.hear(format_datetime(there, usegmt=True), time.monotonic() - 60)
    assert timedelta(seconds=60) <= clock.now() - there < timedelta(seconds=66)
    clock.hear(None, time.monotonic())
    assert clock.now() > there
