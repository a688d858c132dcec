"""The loop of an agent: its queues in turn, its heartbeat, its sweeps, and what it does when it is asked to leave."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from launch_jobs.workers.forced_ends import ForcedEnds
from launch_jobs.workers.leaving import leave
from launch_jobs.workers.leftovers import sweep_adoptions

if TYPE_CHECKING:
    from launch_jobs.workers.worker import LaunchWorker

POLL_SECONDS = 0.25
CANCEL_SECONDS = 1.0
ADOPT_SECONDS = 15.0
TELL_SECONDS = 10.0
SWEEP_SECONDS = 3600.0


async def serve(workers: list[LaunchWorker], *, until_empty: bool = False) -> None:
    """Serve launch queues: claim from each in turn, heartbeat, adopt, cancel.

    Args:
        workers: one a queue, with the same slots.
        until_empty: return when the queues are empty and every claimed run is over; else serve for ever.
    """
    turns = _Turns(workers)

    async def sweep() -> None:
        await sweep_adoptions(workers[0].client)

    if until_empty:
        for worker in workers:
            await worker.adopt()
    async with anyio.create_task_group() as group:
        group.start_soon(workers[0].repeat, turns.claim, POLL_SECONDS)
        for worker in workers:
            group.start_soon(worker.repeat, worker.sync_with_backend, worker.heartbeat_interval_seconds)
            group.start_soon(worker.repeat, worker.watch_cancels, CANCEL_SECONDS)
            group.start_soon(worker.repeat, worker.adopt, ADOPT_SECONDS)
            group.start_soon(worker.repeat, worker.claiming.teller.tell_first, TELL_SECONDS)
            group.start_soon(worker.repeat, ForcedEnds(worker).sweep_forced, ADOPT_SECONDS)
            if worker.lease is not None:
                group.start_soon(worker.repeat, worker.lease.keep, worker.lease.period_s)
                group.start_soon(worker.repeat, worker.adopt_the_gone, 0)
        group.start_soon(workers[0].repeat, sweep, SWEEP_SECONDS)
        while not (until_empty and turns.found_nothing):  # noqa: ASYNC110 - looked at now and then is enough
            await asyncio.sleep(0.2)
        group.cancel_scope.cancel()


class _Turns:
    """Claims from several queues one run at a time in turn, so that none starves under a shared limit."""

    def __init__(self, workers: list[LaunchWorker]) -> None:
        self._workers = workers
        self.found_nothing = False

    async def claim(self) -> None:
        slots = self._workers[0].slots
        at_most = 1 if len(self._workers) > 1 and slots.limit is not None else None
        busy = True
        while busy:
            busy = False
            for worker in self._workers:
                busy = bool(await worker.claiming.claim_if_sighted(at_most)) or busy
            self._workers = [*self._workers[1:], self._workers[0]]
        self.found_nothing = slots.used == 0


async def _release(workers: list[LaunchWorker], seconds: float) -> None:
    await asyncio.gather(*(worker.lease.release(seconds) for worker in workers if worker.lease is not None))


def catch_signals(workers: list[LaunchWorker]) -> None:
    """On SIGTERM or SIGINT stop claiming, flush logs and leave the process, cancelling nothing."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for worker in workers:
            worker.stopping = True
            worker.ownership.sign_off()
        leave(lambda left: asyncio.run_coroutine_threadsafe(_release(workers, left), loop).result(left))

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError):
            loop.add_signal_handler(number, stop)
