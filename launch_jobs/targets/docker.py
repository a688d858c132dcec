"""Runs attempts as containers of a Docker Engine: one container an attempt, named after it, started once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from launch_jobs import crashpoints
from launch_jobs.engine import Engine, connect, engine_id
from launch_jobs.errors import LaunchError, NotFound, Refused, Unavailable
from launch_jobs.run import Place, Stopped
from launch_jobs.targets import AttemptStatus, LogChunk, RunSpec
from launch_jobs.targets.container_log import LogReader
from launch_jobs.targets.container_memory import peak_file, watch_peak
from launch_jobs.targets.containers import Container, Containers, status_of
from launch_jobs.targets.devices import Held
from launch_jobs.targets.grants import HostGrants

T = TypeVar("T")

_CALLS, _FOLLOWERS = 16, 256
_CREATION_S, _CREATOR_S = 60.0, 5.0
_KILL_S = 30.0
_QUICK_S, _SLOW_S = 0.05, 0.5
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


class DockerTarget:
    """The target of `launch-docker` queues.

    Args:
        connect: makes the connection to the engine, when it is first needed.
        grants: what this host lets a container have.
    """

    def __init__(self, connect: Callable[[], Engine] = connect, *, grants: HostGrants | None = None) -> None:
        self._connect = connect
        self._grants = grants or HostGrants()
        self._connecting = threading.Lock()
        self._connection: Engine | None = None
        self._engine_id = ""
        # Threads of our own: an engine that hangs must not use up those of the event loop.
        self._calls = ThreadPoolExecutor(_CALLS, "docker-call")
        self._followers = ThreadPoolExecutor(_FOLLOWERS, "docker-log")
        self._peaks: dict[str, int] = {}

    def close(self) -> None:
        """Let threads and connection go."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._followers.shutdown(wait=False, cancel_futures=True)
        if self._connection:
            self._connection.close()

    async def place(self, name: str) -> Place:
        """Where a container of this name would live on this engine."""
        if not self._engine_id:
            self._engine_id = await self._call(lambda: engine_id(self._engine()))
        return Place(kind="docker", host=self._engine_id, name=name)

    async def ensure(self, spec: RunSpec) -> AttemptStatus:
        """Create the container if its name is free, else adopt it; start it only from state `created`.

        Raises:
            BadInput: the image does not exist, or the engine refuses the spec; says why.
            Refused: the name belongs to a container of another run or attempt.
        """
        place = await self.place(spec.name)
        is_ours = await self._call(lambda: self._containers().create(spec))
        status = await self._adopted(place, spec, 0 if is_ours else _CREATOR_S)
        if status.state != "created":
            return status
        crashpoints.reach("start.before")
        await self._call(lambda: self._containers().start(spec))
        return await self._adopted(place, spec, 0)

    async def status(self, place: Place) -> AttemptStatus | None:
        """What is there now; None if nothing is."""
        container = await self._inspect(place)
        if container is None:
            return None
        status = status_of(container.state)
        return replace(status, peak_memory_bytes=self._peak(place.name, container)) if _is_over(status) else status

    async def _inspect(self, place: Place) -> Container | None:
        name = await self._name_of(place)
        return await self._call(lambda: self._containers().inspect(name))

    def _peak(self, name: str, container: Container) -> int | None:
        """The most memory of a container that ended; one that the kernel ended for its limit had all of it."""
        seen = self._peaks.get(name, 0)
        return max(seen, container.host.memory if container.state.out_of_memory else 0) or None

    async def events(self, place: Place) -> tuple[str, ...]:
        """What the engine still remembers of an attempt that ended: one line an event."""
        container = await self._inspect(place)
        status = status_of(container.state) if container else None
        if status is None or status.started is None or status.ended is None:
            return ()
        since, until = (datetime.fromisoformat(moment).timestamp() for moment in (status.started, status.ended))
        return await self._call(lambda: self._containers().events(place.name, int(since) - 1, int(until) + 1))

    async def logs(self, place: Place, since: str | None) -> AsyncIterator[LogChunk]:
        """Output from `since` until the container ends; its memory is watched meanwhile."""
        watching = asyncio.ensure_future(self._watch_memory(place))
        try:
            async with aclosing(self._logs(place, since)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            watching.cancel()

    async def _watch_memory(self, place: Place) -> None:
        def keep(peak: int) -> None:
            self._peaks[place.name] = max(peak, self._peaks.get(place.name, 0))

        async def ask() -> int | None:
            return await self._call(lambda: self._containers().peak_memory(place.name))

        with suppress(LaunchError):
            container = await self._inspect(place)
            if container is not None and container.state.pid:
                await watch_peak(peak_file(container.id, container.state.pid), ask, keep)

    async def _logs(self, place: Place, since: str | None) -> AsyncGenerator[LogChunk]:
        """The output alone; a stream that breaks is taken up where it broke."""
        failures, is_over = 0, False
        while not is_over:
            try:
                status = await self.status(place)
                is_over = status is None or status.state == "exited"
                if status is None or status.state == "created":
                    await asyncio.sleep(_QUICK_S)
                    continue
                # Once more when it has ended: an engine may end a stream before the program's last words.
                async with aclosing(self._read_log(place.name, since, follow=not is_over)) as chunks:
                    async for chunk in chunks:
                        since, failures = chunk.offset, 0
                        yield chunk
            except NotFound:
                is_over = False  # it was removed just now: the status will tell
            except Unavailable:
                is_over = False
                if failures == len(_PAUSES_S):
                    raise
                await asyncio.sleep(_PAUSES_S[failures])
                failures += 1

    async def stop(self, place: Place, grace_s: float) -> Stopped | None:
        """End the container: SIGTERM to its program, after the grace SIGKILL to all; returns when none of it runs.

        Raises:
            Unavailable: the engine cannot end it.
        """
        name = await self._name_of(place)
        sent: dict[str, str] = {}
        for signal, patience_s in (("SIGTERM", max(0.0, grace_s)), ("SIGKILL", _KILL_S)):
            status = await self.status(place)
            if not status or status.state != "running":
                return _stopped(sent)
            sent[signal] = _now()
            await self._call(lambda signal=signal: self._containers().kill(name, signal))
            if await self._is(place, "exited", patience_s):
                return _stopped(sent)
        raise Unavailable(f"the container {name} does not end", do="Look at the Docker Engine's log")

    async def collect(self, place: Place, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Copy an exited container's outputs into a folder; return the paths left out (links, over the limit).

        Raises:
            NotFound: the container is gone.
        """
        if await self.status(place) is None:
            raise NotFound(f"{place} is gone, and its outputs with it")
        return await self._call(lambda: self._containers().collect(place.name, spec, into))

    async def held_devices(self) -> dict[str, Held]:
        """Run id → what its container holds, of all on this engine that are not over."""
        return await self._call(lambda: self._containers().held_devices())

    async def remove(self, place: Place) -> None:
        """Remove the container with its anonymous volumes. Nothing there is no error."""
        self._peaks.pop(place.name, None)
        if await self.status(place) is None:
            return
        await self._call(lambda: self._containers().remove(place.name))
        if not await self._is(place, None, _KILL_S):
            raise Unavailable(f"{place} cannot be removed", do="Look at the Docker Engine's log")

    async def _adopted(self, place: Place, spec: RunSpec, patience_s: float) -> AttemptStatus:
        """The status of a container that must be ours; one that another agent makes gets the time to be started."""
        clock = asyncio.get_running_loop().time
        # The engine takes the name before it can show the container.
        sight, start = clock() + (_CREATION_S if patience_s else 0), None
        while True:
            container = await self._call(lambda: self._containers().inspect(place.name))
            if container is None and clock() >= sight:
                raise Unavailable(f"{place} was removed by somebody else", do="Try again")
            if container is not None:
                status = _owned(container, place, spec)
                start = start or clock() + patience_s
                if status.state != "created" or clock() >= start:
                    return status
            await asyncio.sleep(_QUICK_S)

    async def _is(self, place: Place, state: str | None, patience_s: float) -> bool:
        """Whether the container gets into a state (None: is gone, which will do for any) in that many seconds."""
        pause, deadline = _QUICK_S, asyncio.get_running_loop().time() + patience_s
        while True:
            status = await self.status(place)
            if status is None or status.state == state:
                return True
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(_SLOW_S, pause * 1.5)

    async def _read_log(self, name: str, since: str | None, *, follow: bool) -> AsyncGenerator[LogChunk]:
        reader = LogReader(since)
        loop = asyncio.get_running_loop()
        thread = loop.run_in_executor(self._followers, lambda: reader.run(self._engine(), name, follow=follow))
        try:
            while chunk := await reader.take():
                yield chunk
            await thread
        finally:
            reader.close()

    async def _name_of(self, place: Place) -> str:
        """The name of a place on this engine; a container elsewhere must never look absent."""
        if place != await self.place(place.name):
            raise Unavailable(f"{place} is on another engine than {self._engine_id}")
        return place.name

    def _containers(self) -> Containers:
        return Containers(self._engine(), self._grants)

    def _engine(self) -> Engine:
        """The connection; blocks when it is first made."""
        with self._connecting:
            self._connection = self._connection or self._connect()
            return self._connection

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._calls, work)


def _is_over(status: AttemptStatus) -> bool:
    return status.state == "exited"


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _stopped(sent: dict[str, str]) -> Stopped | None:
    """The proof of a stop; None if nothing had to be done."""
    return Stopped(signalled=sent["SIGTERM"], killed=sent.get("SIGKILL"), gone=_now()) if sent else None


def _owned(container: Container, place: Place, spec: RunSpec) -> AttemptStatus:
    """The status of a container, if it is this attempt's."""
    if not spec.labels.items() <= (container.config.labels or {}).items():
        raise Refused(f"{place} belongs to another run or attempt", do="Remove it if you know that it is done")
    return status_of(container.state)
