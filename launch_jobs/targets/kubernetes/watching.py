"""What a namespace holds of ours, kept by one LIST and one WATCH a kind, however many runs there are.

A watch that breaks, ends or forgets goes on from its last version, else a new list heals what was missed. While neither
is had, whoever asks is told so, and asks the server itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import cast

from launch_jobs.cluster import Cluster, WatchExpired
from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.job import JsonObject

Key = Callable[[JsonObject], str | None]
"""The name of the attempt that an object belongs to; None: it is none of ours."""

_WATCH_S = 15
"""A connection that is dead without a word is noticed when its watch should have ended."""

_SHORT_S = 1.0
"""A watch that ends sooner was cut off: the next one waits, so as not to be a flood."""

_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class Changes:
    """Wakes those who wait for news of one attempt."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, name: str) -> None:
        """Something of this attempt has changed."""
        for event in self._waiting.get(name, ()):
            event.set()

    def tell_all(self) -> None:
        """Anything may have changed."""
        for name in self._waiting:
            self.tell(name)

    @contextmanager
    def of(self, name: str) -> Generator[asyncio.Event]:
        """An event that is set at each change; whoever waits clears it before looking."""
        event = asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]


class Mirror:
    """The objects of one list, as the API server tells them.

    Args:
        cluster: whose.
        path: of the list.
        selector: of labels; empty: all.
        key: which attempt an object belongs to.
        changes: who is told.
    """

    def __init__(self, cluster: Cluster, path: str, selector: str, key: Key, changes: Changes) -> None:
        self._cluster, self._path, self._key, self._changes = cluster, path, key, changes
        self._query = {"labelSelector": selector} if selector else {}
        self._objects: dict[str, dict[str, JsonObject]] = {}
        self._version, self._was_listed = "", False
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error: LaunchError | None = None
        """Why it is blind; None: it sees."""

    def of(self, name: str) -> tuple[JsonObject, ...]:
        """The objects of an attempt, in the order of their names."""
        return tuple(one for _, one in sorted(self._objects.get(name, {}).items()))

    async def current(self) -> bool:
        """Whether what it holds is what the server told last; waits for the first list.

        Raises:
            LaunchError: the first list could not be had; says why.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._follow())
        await self._ready.wait()
        if self.error is not None and not self._was_listed:
            raise self.error
        return self.error is None

    async def close(self) -> None:
        """End the streams."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        clock, pauses = asyncio.get_running_loop().time, iter(_PAUSES_S)
        while True:
            begun, error = clock(), LaunchError(f"the watch of {self._path} is cut off")
            try:
                if not self._version:
                    await self._list()
                self._sees(None)
                await self._watch()
            except WatchExpired as expired:
                self._version, error = "", expired
            except LaunchError as failed:
                error, begun = failed, clock()
            if clock() - begun >= _SHORT_S:
                pauses = iter(_PAUSES_S)
                continue
            self._sees(error)
            await asyncio.sleep(next(pauses, _PAUSES_S[-1]))

    def _sees(self, error: LaunchError | None) -> None:
        was_blind = self.error is not None
        self.error = error
        self._ready.set()
        if was_blind != (error is not None):
            self._changes.tell_all()

    async def _list(self) -> None:
        told = await self._cluster.read(self._path, self._query)
        before, self._objects = self._objects, {}
        for one in _items(told):
            self._put(one)
        self._version, self._was_listed = _version_of(told), True
        for name in {*before, *self._objects}:
            if before.get(name) != self._objects.get(name):
                self._changes.tell(name)

    async def _watch(self) -> None:
        was_heard = False
        query = {**self._query, "resourceVersion": self._version}
        try:
            async with aclosing(self._cluster.watch(self._path, query, seconds=_WATCH_S)) as events:
                async for event in events:
                    was_heard = True
                    self._apply(str(event.get("type")), cast("JsonObject", event["object"]))
        except Unavailable:
            if was_heard:  # a watch that is cut off is no harm while the server is there: go on from the same version
                await self._cluster.read(self._path, {**self._query, "limit": "1"})
            else:  # perhaps nothing comes through at all
                await self._list()

    def _apply(self, kind: str, one: JsonObject) -> None:
        self._version = _version_of(one) or self._version
        if kind == "BOOKMARK":
            return
        name = self._key(one)
        if kind == "DELETED" and name is not None:
            held = self._objects.get(name, {})
            held.pop(_uid(one), None)
            if not held:
                self._objects.pop(name, None)
        elif kind != "DELETED":
            self._put(one)
        if name is not None:
            self._changes.tell(name)

    def _put(self, one: JsonObject) -> None:
        name = self._key(one)
        if name is not None:
            self._objects.setdefault(name, {})[_uid(one)] = lean(one)


def lean(one: JsonObject) -> JsonObject:
    """An object without what nobody of us reads and which may be most of it. Pure."""
    metadata = dict(cast("JsonObject", one.get("metadata") or {}))
    metadata.pop("managedFields", None)
    return {**one, "metadata": metadata}


def _items(told: JsonObject) -> Iterator[JsonObject]:
    # A list's items do not repeat what they are.
    kind = str(told.get("kind", "")).removesuffix("List")
    about: JsonObject = {"apiVersion": told.get("apiVersion"), "kind": kind}
    for one in cast("list[JsonObject]", told.get("items") or []):
        yield {**about, **one}


def _version_of(one: JsonObject) -> str:
    with suppress(KeyError, TypeError):
        return str(cast("JsonObject", one["metadata"])["resourceVersion"])
    return ""


def _uid(one: JsonObject) -> str:
    metadata = cast("JsonObject", one["metadata"])
    return f"{metadata.get('name')}/{metadata.get('uid')}"
