"""One client of the burst: submits runs as fast as it can, once it is told to; says how each went, a line each."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from prefect import get_client

from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import open_store
from launch_jobs.submission import Submission, submit


async def main(side: str, to: str, job: str, count: int) -> None:
    """Submit runs one after the other; what a user would see of an error is told."""
    one = _ours(to, job) if side == "ours" else _stock(to)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(count):
        begin = time.monotonic()
        try:
            told = {"run": str(await one())}
        except Exception as error:  # noqa: BLE001 - whatever reaches a user is what is measured
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({**told, "seconds": round(time.monotonic() - begin, 3)}), flush=True)


def _ours(queue: str, job: str) -> Callable[[], Awaitable[UUID]]:
    store = open_store(load_settings().store_url)

    async def one() -> UUID:
        return (await submit(Submission(job=job, queue=queue), store)).id

    return one


def _stock(deployment: str) -> Callable[[], Awaitable[UUID]]:
    async def one() -> UUID:
        async with get_client() as client:
            return (await client.create_flow_run_from_deployment(UUID(deployment))).id

    return one


if __name__ == "__main__":
    _, side, to, job, count = sys.argv
    asyncio.run(main(side, to, job, int(count)))
