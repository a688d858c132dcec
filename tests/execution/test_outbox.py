"""Lines of several runs go to the server in one call, and each run learns whether its own arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from launch_jobs.errors import BadInput, LaunchError, Unavailable
from launch_jobs.outbox import LARGEST, Outbox

pytestmark = pytest.mark.anyio


class Server:
    """Takes entries; `bad` ones it refuses, and all while it is away."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.is_away = False
        self.outbox = Outbox(self.call, len)

    async def call(self, entries: Sequence[str]) -> None:
        """Take all or none."""
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("away")
        if "bad" in entries:
            raise BadInput("refused")
        self.calls.append([*entries])


async def test_the_first_goes_at_once_and_those_of_a_moment_together() -> None:
    """After a silence nobody waits; whoever comes right after shares the next call, in order."""
    server = Server()
    await server.outbox.send(["first"])
    assert server.calls == [["first"]]
    await asyncio.gather(*(server.outbox.send([f"{run} says", f"{run} goes on"]) for run in "abc"))
    assert server.calls[1:] == [["a says", "a goes on", "b says", "b goes on", "c says", "c goes on"]]


async def test_what_the_server_refuses_is_nobody_elses_loss() -> None:
    """A refused call is made again for each run alone: once for the others, and only its own maker hears the no."""
    server = Server()
    ends = await asyncio.gather(*(server.outbox.send([one]) for one in ("a", "bad", "b")), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), BadInput, type(None)]
    assert sorted(server.calls) == [["a"], ["b"]]


async def test_all_learn_that_nobody_knows() -> None:
    """While the server is away each is told so, and nothing is sent again behind its back."""
    server = Server()
    server.is_away = True
    ends = await asyncio.gather(*(server.outbox.send([one]) for one in "ab"), return_exceptions=True)
    assert [type(end) for end in ends] == [Unavailable, Unavailable]
    assert server.calls == []
    server.is_away = False
    await server.outbox.send(["again"])
    assert server.calls == [["again"]]


@pytest.mark.parametrize("stopped", [0, 1])
async def test_whoever_is_stopped_stops_nobody_else(stopped: int) -> None:
    """A run that ends while its lines wait: the others' arrive, or they learn that nobody knows."""
    server = Server()
    await server.outbox.send(["first"])
    sending = [asyncio.ensure_future(server.outbox.send([one])) for one in "ab"]
    await asyncio.sleep(0)
    sending[stopped].cancel()
    try:
        await sending[1 - stopped]
        has_arrived = True
    except LaunchError as error:
        assert isinstance(error, Unavailable)
        has_arrived = False
    assert sending[stopped].cancelled()
    other = "ba"[stopped]
    assert any(other in call for call in server.calls) == has_arrived


async def test_a_flood_waits_for_nobody() -> None:
    """What nearly fills a call goes at once, alone, also right after another."""
    server = Server()
    await server.outbox.send(["first"])
    waiting = asyncio.ensure_future(server.outbox.send(["little"]))
    flood = "x" * LARGEST
    await server.outbox.send([flood])
    assert server.calls == [["first"], [flood]]
    await waiting
    assert server.calls[2:] == [["little"]]
