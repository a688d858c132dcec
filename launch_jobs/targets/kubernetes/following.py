"""The output of an attempt: of all containers of all its pods, as they come, each read on from where it was left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import cast

from launch_jobs.cluster import Cluster, until_allowed
from launch_jobs.errors import BadInput, NotFound, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.moments import happens
from launch_jobs.targets import LogChunk
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.keeper import KEEPER
from launch_jobs.targets.kubernetes.namespace import Namespace
from launch_jobs.targets.kubernetes.pod_log import LogPosition, read_on

_AHEAD = 64
_LOOK_S = 2.0
_SILENT_S, _AFTER_END_S = 120.0, 10.0
"""A connection that says nothing for so long, or so long after its container's end, may be dead: it is made anew."""

_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True, slots=True)
class _Piece:
    container: str
    lines: list[bytes]
    position: str


class Follower:
    """Follows one attempt.

    Args:
        cluster: whose.
        namespace: where its pods are.
        name: of the attempt.
        look: what is seen of it now, and whether it is over.
    """

    def __init__(
        self, cluster: Cluster, namespace: Namespace, name: str, look: Callable[[], Awaitable[tuple[Seen, bool]]]
    ) -> None:
        self._cluster, self._namespace, self._name, self._look = cluster, namespace, name, look
        self._pieces: asyncio.Queue[_Piece | None] = asyncio.Queue(_AHEAD)
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._prefixes: dict[str, bytes] = {}
        self._seen: Seen | None = None
        self._is_over = False

    async def chunks(self, since: str | None) -> AsyncGenerator[LogChunk]:
        """Output from a place on, until the attempt is over and all of it was given."""
        reached = _parsed(since)
        supervising = asyncio.ensure_future(self._supervise(dict(reached)))
        try:
            while (piece := await self._pieces.get()) is not None:
                reached[piece.container] = piece.position
                prefix = self._prefixes[piece.container]
                yield LogChunk(b"".join(prefix + line for line in piece.lines), json.dumps(reached))
            await supervising
        finally:
            for task in (supervising, *self._readers.values()):
                task.cancel()
            await asyncio.gather(supervising, *self._readers.values(), return_exceptions=True)

    async def _supervise(self, reached: dict[str, str]) -> None:
        """Start a reader for each container that there is; end when all have ended, and there come no more."""
        try:
            with self._namespace.changes.of(self._name) as news:
                while True:
                    news.clear()
                    self._seen, self._is_over = await self._look()
                    for pod, container, prefix in _containers(self._seen):
                        self._start(pod, container, prefix, reached)
                    if self._is_over:
                        break
                    await happens(news, _LOOK_S)
            await asyncio.gather(*self._readers.values())
        finally:
            await self._pieces.put(None)

    def _start(self, pod: JsonObject, container: str, prefix: str, reached: dict[str, str]) -> None:
        key = f"{_name(pod)}/{container}"
        if key not in self._readers:
            self._prefixes[key] = prefix.encode()
            position = LogPosition.parse(reached[key]) if key in reached else LogPosition()
            self._readers[key] = asyncio.ensure_future(self._read(pod, container, key, position))

    async def _read(self, pod: JsonObject, container: str, key: str, position: LogPosition) -> None:
        """Read a container's output to its end, again from where it broke."""
        pauses = iter(_PAUSES_S)
        with self._namespace.changes.of(self._name) as news:
            while True:
                news.clear()
                state = await self._state(pod, container)
                if state is None or (state == "waiting" and self._is_over):
                    return
                try:
                    async with aclosing(self._lines(pod, container, position, state)) as found:
                        async for lines in found:
                            await self._pieces.put(_Piece(key, lines, str(position)))
                            pauses = iter(_PAUSES_S)
                except Unavailable:
                    pause = next(pauses, None)
                    if pause is None:
                        raise
                    await asyncio.sleep(pause)
                    continue
                if state == "terminated":
                    return
                await happens(news, _LOOK_S)

    async def _lines(
        self, pod: JsonObject, container: str, position: LogPosition, state: str
    ) -> AsyncGenerator[list[bytes]]:
        if state == "waiting":
            return
        path = self._namespace.pod_path(pod)
        with suppress(NotFound, BadInput):  # its pod goes, or it does not run yet: its state will tell
            reading = read_on(self._cluster, path, container, position, follow=state == "running")
            async with until_allowed(), aclosing(reading) as found:
                while (lines := await self._next(found, pod, container, state)) is not None:
                    yield lines

    async def _next(
        self, reading: AsyncGenerator[list[bytes]], pod: JsonObject, container: str, state: str
    ) -> list[bytes] | None:
        """The next lines; None: there come no more over this connection.

        Raises:
            Unavailable: of a container that has ended there should come some.
        """
        coming, silent_s = asyncio.ensure_future(anext(reading, None)), 0.0
        try:
            while not (await asyncio.wait({coming}, timeout=_LOOK_S))[0]:
                silent_s += _LOOK_S
                has_ended = self._seen is not None and _state(self._seen, pod, container) != state
                if silent_s < (_AFTER_END_S if has_ended else _SILENT_S):
                    continue
                if state == "running":
                    return None
                raise Unavailable(f"the log of {container} does not come", do="Try again")
            return coming.result()
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _state(self, pod: JsonObject, container: str) -> str | None:
        """waiting, running or terminated; None: its pod is gone."""
        self._seen, self._is_over = await self._look()
        return _state(self._seen, pod, container)


def _state(seen: Seen, pod: JsonObject, container: str) -> str | None:
    found = [one for one in seen.pods if _name(one) == _name(pod)]
    if not found:
        return None
    for status in _statuses(found[0]):
        if status.get("name") == container:
            state = cast("JsonObject", status.get("state") or {})
            return next((one for one in ("terminated", "running") if one in state), "waiting")
    return "waiting"


def _containers(seen: Seen) -> Iterator[tuple[JsonObject, str, str]]:
    """Each container of the program whose pod is there, with what stands before its lines. Pure."""
    many = _has_many(seen.object) or len(seen.pods) > 1
    for pod in seen.pods:
        names = [str(one.get("name")) for one in _statuses(pod) if one.get("name") != KEEPER]
        for name in names:
            words = ([rank_of(pod)] if many else []) + ([name] if len(names) > 1 else [])
            yield pod, name, f"[{' '.join(words)}] " if words else ""


def _has_many(found: JsonObject | None) -> bool:
    if found is None or found.get("kind") == "Pod":
        return False
    spec = cast("JsonObject", found.get("spec") or {})
    return (
        found.get("kind") != "Job"
        or spec.get("completions") not in (None, 1)
        or spec.get("parallelism") not in (None, 1)
    )


def rank_of(pod: JsonObject) -> str:
    """How a pod of several is told from the others: by its index, else by what its name has more than its object's."""
    metadata = cast("JsonObject", pod["metadata"])
    labels = cast("JsonObject", metadata.get("labels") or {})
    index = labels.get(_INDEX)
    return str(index) if index is not None else "-".join(_name(pod).split("-")[3:]) or _name(pod)


def _parsed(since: str | None) -> dict[str, str]:
    if since is None:
        return {}
    try:
        return {str(key): str(value) for key, value in json.loads(since).items()}
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{since[:80]!r} is no place in the logs of an attempt") from error


def _name(pod: JsonObject) -> str:
    return str(cast("JsonObject", pod["metadata"])["name"])


def _statuses(pod: JsonObject) -> list[JsonObject]:
    status = cast("JsonObject", pod.get("status") or {})
    return cast("list[JsonObject]", status.get("containerStatuses") or [])
