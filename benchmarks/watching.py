"""What became of runs, read in the server's database, so that looking costs the server nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg

if TYPE_CHECKING:
    from benchmarks.stage import Stage

_LIMIT_S = 600.0
_LOOK_S = 0.02
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
"""Types of states in which a run is over."""


class Database(Protocol):
    """Where the server keeps states."""

    async def states(self, runs: list[UUID]) -> dict[UUID, str]:
        """The types of these runs' states."""
        ...

    async def told_since(self, runs: list[UUID], moment: float) -> int:
        """How many of these runs have got a state since then."""
        ...

    async def messages(self, run: UUID) -> list[str]:
        """What Prefect's log has of a run, in order."""
        ...

    async def log_count(self, run: UUID) -> int:
        """How many entries that are."""
        ...

    async def close(self) -> None:
        """Look no more."""
        ...


class Watcher:
    """Sees runs change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, runs: list[UUID]) -> dict[UUID, str]:
        """The types of these runs' states now."""
        return await self._database.states(runs)

    async def told_since(self, runs: list[UUID], moment: float) -> int:
        """How many of these runs have got a state since then."""
        return await self._database.told_since(runs, moment)

    async def messages(self, run: UUID) -> list[str]:
        """What Prefect's log has of a run, in order."""
        return await self._database.messages(run)

    async def log_count(self, run: UUID) -> int:
        """How many entries that are."""
        return await self._database.log_count(run)

    async def until(
        self, runs: list[UUID], holds: Callable[[Iterable[str]], bool], *, seconds: float = _LIMIT_S
    ) -> float | None:
        """The moment when these runs' states are seen so; None: not in time."""
        deadline = time.time() + seconds
        while True:
            states = await self._database.states(runs)
            if len(states) == len(runs) and holds(states.values()):
                return time.time()
            if time.time() > deadline:
                return None
            await asyncio.sleep(_LOOK_S)

    async def ended(self, runs: list[UUID], *, seconds: float = _LIMIT_S) -> float | None:
        """The moment when these runs are seen over, whatever way; None: not in time."""
        return await self.until(runs, FINAL.issuperset, seconds=seconds)

    async def completed(self, runs: list[UUID]) -> float:
        """The moment when all these runs are seen completed."""
        moment = await self.until(runs, lambda states: _is_decided([*states]))
        states = (await self._database.states(runs)).values()
        if moment is None or {*states} != {"COMPLETED"}:
            raise RuntimeError(f"the no-op runs end otherwise than completed: {sorted(states)}")
        return moment


def _is_decided(states: list[str]) -> bool:
    """Whether all are completed, or one ended otherwise."""
    return states.count("COMPLETED") == len(states) or bool((FINAL - {"COMPLETED"}).intersection(states))


class _Postgres:
    def __init__(self, connection: Any) -> None:  # asyncpg has no types
        self._connection = connection
        self._turn = asyncio.Lock()  # a connection answers one at a time

    async def states(self, runs: list[UUID]) -> dict[UUID, str]:
        query = "select id, state_type::text as state from flow_run where id = any($1::uuid[])"
        async with self._turn:
            return {UUID(str(row["id"])): str(row["state"]) for row in await self._connection.fetch(query, runs)}

    async def told_since(self, runs: list[UUID], moment: float) -> int:
        query = """select count(distinct flow_run_id) from flow_run_state
            where flow_run_id = any($1::uuid[]) and timestamp > to_timestamp($2)"""
        async with self._turn:
            return int(await self._connection.fetchval(query, runs, moment))

    async def messages(self, run: UUID) -> list[str]:
        query = "select message from log where flow_run_id = $1 order by timestamp"
        async with self._turn:
            return [str(row["message"]) for row in await self._connection.fetch(query, run)]

    async def log_count(self, run: UUID) -> int:
        async with self._turn:
            return int(await self._connection.fetchval("select count(*) from log where flow_run_id = $1", run))

    async def close(self) -> None:
        await self._connection.close()


class _Sqlite:
    def __init__(self, file: str) -> None:
        self._file = file

    async def states(self, runs: list[UUID]) -> dict[UUID, str]:
        wanted = {*runs}
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            rows: list[tuple[str, str]] = connection.execute("select id, state_type from flow_run").fetchall()
        return {run: state for text, state in rows if (run := UUID(text)) in wanted}

    async def told_since(self, runs: list[UUID], moment: float) -> int:
        raise NotImplementedError("nobody asks it of SQLite")

    async def messages(self, run: UUID) -> list[str]:
        raise NotImplementedError("nobody asks it of SQLite")

    async def log_count(self, run: UUID) -> int:
        raise NotImplementedError("nobody asks it of SQLite")

    async def close(self) -> None:
        pass


@asynccontextmanager
async def watcher(stage: Stage) -> AsyncGenerator[Watcher]:
    """A watcher on the stage's database."""
    database = await _open(stage.database)
    try:
        yield Watcher(database)
    finally:
        await database.close()


async def _open(url: str) -> Database:
    if url.startswith("sqlite"):
        return _Sqlite(url.partition(":///")[2])
    folder = parse_qs(urlsplit(url).query)["host"][0]
    return _Postgres(await vars(asyncpg)["connect"](host=folder, user="postgres", database="postgres"))
