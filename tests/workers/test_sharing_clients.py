"""Those who need the Prefect server at the same time share one client, and ask for the same thing once."""

from __future__ import annotations

import asyncio

import pytest
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from launch_jobs.client import at_once, connect
from launch_jobs.local.connection import Connection

pytestmark = pytest.mark.anyio


async def test_a_client_is_shared_and_closes_with_its_last_user(connected: Connection) -> None:
    """Whoever leaves first leaves it open for the others; the next one later gets a new one that works."""
    del connected
    async with connect() as first:
        async with connect() as second:
            assert second is first
        assert await first.read_work_pools() is not None
    async with connect() as third:
        assert third is not first
        assert await third.read_work_pools() is not None


async def test_another_server_has_another_client(connected: Connection) -> None:
    """Settings that change meanwhile are heeded."""
    del connected
    async with connect() as here:
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            async with connect() as there:
                assert there is not here
                assert str(there.api_url).startswith("http://127.0.0.1:9/")
        assert await here.read_work_pools() is not None


async def test_what_many_ask_at_once_is_asked_once(connected: Connection) -> None:
    """Twenty who share a client get one answer; with clients of their own each asks."""
    del connected
    asked: list[int] = []

    async def ask() -> list[WorkPool]:
        async with connect() as client:

            async def read() -> list[WorkPool]:
                asked.append(1)
                return await client.read_work_pools()

            return await at_once(client, "pools", read)

    answers = await asyncio.gather(*(ask() for _ in range(20)))
    assert len(asked) == 1
    assert all(answer is answers[0] for answer in answers)
    await ask()
    assert len(asked) == 2


async def test_an_error_reaches_all_who_asked(connected: Connection) -> None:
    """Nobody waits for ever, and one who gives up takes nothing from the others."""
    del connected

    async def ask() -> None:
        async with connect() as client:
            await at_once(client, "no such queue", lambda: client.read_work_pool("no-such-queue"))

    asking = [asyncio.ensure_future(ask()) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    given_up, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(given_up, asyncio.CancelledError)
    assert [type(other.__cause__ or other) for other in others if isinstance(other, BaseException)] == (
        [ObjectNotFound] * 2
    )
