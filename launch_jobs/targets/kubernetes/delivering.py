"""Brings datasets to the pods of attempts, over `exec`, as the pods come; what breaks off begins anew."""

from __future__ import annotations

import asyncio
import hashlib
import tarfile
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from launch_jobs.cluster import Cluster
from launch_jobs.errors import LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.moments import happens
from launch_jobs.targets import RunSpec
from launch_jobs.targets.data_archive import Member, folder_member, length, members, streamed
from launch_jobs.targets.kubernetes.data_volume import (
    ACCEPT,
    DATA,
    RECEIVE,
    DataLayout,
    awaits_data,
    data_layout,
    folder_mode,
)
from launch_jobs.targets.kubernetes.looking import LOOK_S, Lookout
from launch_jobs.targets.kubernetes.seen_pods import uid_of
from launch_jobs.targets.kubernetes.where import Where

_AT_ONCE = 4
"""Pods of one cluster that are served at a time: all goes through its API server."""

_PAUSES_S = (1.0, 2.0, 5.0, 10.0)
_PIECE = 1 << 18
_FORMAT = tarfile.GNU_FORMAT
"""BusyBox reads it, too, long names and large files included."""

_LONGEST = 1000
_END = bytes(2 * tarfile.BLOCKSIZE)
_RECEIVE = ("/bin/sh", "-c", RECEIVE, "sh")
_ACCEPT = ("/bin/sh", "-c", ACCEPT, "sh")


@dataclass(frozen=True, slots=True)
class Contents:
    """What an attempt's pods get.

    Attributes:
        sources: absolute path at run time → file or folder on the agent.
        layout: where in the volume each goes.
        size: of the archive, in bytes.
    """

    sources: dict[str, str]
    layout: DataLayout
    size: int


def contents_of(spec: RunSpec) -> Contents | None:
    """What is to be delivered; None: it is not on this host, as after the start of the attempt. It blocks.

    Raises:
        Refused: it is more than the queue's pods get.
    """
    if not spec.datasets or not all(Path(source).exists() for source in spec.datasets.values()):
        return None
    contents = Contents(spec.datasets, data_layout(spec), len(_END))
    contents = replace(contents, size=contents.size + sum(length(one, _FORMAT) for one in _members(contents)))
    if spec.dataset_limit_bytes is not None and contents.size > spec.dataset_limit_bytes:
        raise Refused(
            f"The datasets of this run take {contents.size:,} bytes, its pods get {spec.dataset_limit_bytes:,} at most",
            do="Raise the queue's dataset_limit, or mount a volume that has them (the queue's field volumes)",
        )
    return contents


def _archive(contents: Contents) -> Iterator[bytes]:
    for member in _members(contents):
        yield from streamed(member, _FORMAT)
    yield _END


def _members(contents: Contents) -> Iterator[Member]:
    places = contents.layout.places
    for folder in sorted({place.split("/")[0] for place in places.values()}):
        yield folder_member(folder, folder_mode(folder))
    for path, source in sorted(contents.sources.items()):
        yield from members(places[path], Path(source), folder_mode(places[path]))


class _Parcel:
    """What goes to one pod.

    Attributes:
        size: of all, in bytes.
        folders: as in `DataLayout`.
        sent: bytes so far.
        error: why it could not be read.
        go: set once the pod takes it.
        trouble: why it did not get there last time; empty: this is the first.
    """

    def __init__(self, contents: Contents, trouble: str = "") -> None:
        self.size, self.sent, self.trouble = contents.size, 0, trouble
        self.error: OSError | None = None
        self.go = asyncio.Event()
        self.folders = contents.layout.folders
        self._contents, self._sum = contents, hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of what was read."""
        return self._sum.hexdigest()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The archive, read as fast as it is taken."""
        pieces = self._read()
        await self.go.wait()
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                yield piece
                self.sent += len(piece)
        except OSError as error:
            self.error = error

    def _read(self) -> Iterator[bytes]:
        piece = bytearray()
        for chunk in _archive(self._contents):
            piece += chunk
            if len(piece) >= _PIECE:
                self._sum.update(piece)
                yield bytes(piece)
                piece.clear()
        self._sum.update(piece)
        yield bytes(piece)


class Deliveries:
    """Brings datasets to the pods of one cluster.

    Args:
        cluster: that cluster.
        lookout: who sees the pods.
    """

    def __init__(self, cluster: Cluster, lookout: Lookout) -> None:
        self._cluster, self._lookout = cluster, lookout
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._parcels: dict[str, dict[str, _Parcel]] = {}

    def begin(self, where: Where, contents: Contents) -> None:
        """Serve every pod of an attempt, whenever it comes, until `end`."""
        if where.name not in self._tasks:
            self._tasks[where.name] = asyncio.ensure_future(self._serve_all(where, contents))

    async def end(self, name: str) -> None:
        """Serve no pod of an attempt any more."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._parcels.pop(name, None)

    async def close(self) -> None:
        """Serve nobody any more."""
        await asyncio.gather(*map(self.end, tuple(self._tasks)))

    def told(self, name: str) -> str:
        """How the datasets of an attempt fare, one line; empty if there is nothing to tell."""
        parcels = self._parcels.get(name, {}).values()
        if not parcels:
            return ""
        if trouble := next((one.trouble for one in parcels if one.trouble), ""):
            return f"Its datasets do not get into its pod: {trouble}"
        size = sum(one.size for one in parcels)
        tenths = 10 * sum(one.sent for one in parcels) // size
        return f"Its datasets are on their way: {10 * tenths} % of {size:,} bytes to {len(parcels)} pods"

    async def _serve_all(self, where: Where, contents: Contents) -> None:
        serving: dict[str, asyncio.Task[None]] = {}
        try:
            with where.namespace.changes.of(where.name) as news:
                while True:
                    news.clear()
                    for pod in await self._waiting(where):
                        if uid_of(pod) not in serving:
                            serving[uid_of(pod)] = asyncio.ensure_future(self._serve(where, pod, contents))
                    await happens(news, LOOK_S)
        finally:
            for task in serving.values():
                task.cancel()
            await asyncio.gather(*serving.values(), return_exceptions=True)

    async def _waiting(self, where: Where) -> list[JsonObject]:
        with suppress(LaunchError):  # whoever follows the attempt says so
            return [pod for pod in (await self._lookout.looked(where)).pods if awaits_data(pod)]
        return []

    async def _serve(self, where: Where, pod: JsonObject, contents: Contents) -> None:
        """Deliver to one pod, again until it has all, or waits no more."""
        pauses, trouble = iter(_PAUSES_S), ""
        parcels = self._parcels.setdefault(where.name, {})
        try:
            while await self._still_waits(where, pod):
                async with self._turns:
                    parcels[uid_of(pod)] = parcel = _Parcel(contents, trouble)
                    where.namespace.changes.tell(where.name)
                    trouble = await self._delivered(where.namespace.pod_path(pod), parcel)
                if not trouble:
                    return
                parcel.trouble = trouble
                where.namespace.changes.tell(where.name)
                await asyncio.sleep(next(pauses, _PAUSES_S[-1]))
        finally:
            parcels.pop(uid_of(pod), None)

    async def _still_waits(self, where: Where, pod: JsonObject) -> bool:
        try:
            pods = (await self._lookout.looked(where)).pods
        except LaunchError:
            return True
        return any(uid_of(one) == uid_of(pod) and awaits_data(one) for one in pods)

    async def _delivered(self, pod: str, parcel: _Parcel) -> str:
        """Try once; why it did not succeed, or nothing."""
        token = uuid.uuid4().hex
        try:
            said = await self._brought(pod, (*_RECEIVE, token, str(parcel.size), *parcel.folders), parcel)
            if said not in {"", f"sum {parcel.digest}"}:
                return said
            async with aclosing(self._cluster.run(pod, DATA, (*_ACCEPT, token, parcel.digest))) as words:
                async for _ in words:
                    pass
        except LaunchError as error:
            return str(error)
        return ""

    async def _brought(self, pod: str, command: tuple[str, ...], parcel: _Parcel) -> str:
        """Send a parcel to a command; what that says in the end, which is nothing if the pod has its data already."""
        said = b""
        async with aclosing(self._cluster.run(pod, DATA, command, stdin=parcel.pieces())) as words:
            async for word in words:
                said = (said + word)[-_LONGEST:]
                lines = said.split(b"\n")[:-1]
                if parcel.error is not None:
                    return f"they cannot be read: {parcel.error}"
                if b"ready" in lines:
                    parcel.go.set()
                if any(line.startswith(b"failed") for line in lines):
                    break
        told = [line.removeprefix("failed ") for line in said.decode(errors="replace").split("\n")]
        return "; ".join(line for line in told if line not in {"", "ready"})
