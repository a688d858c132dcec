"""The pod of a build in a cluster: its files brought, its steps followed, its lines passed on."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import IO, TypeVar, cast

from launch_jobs.build import Log
from launch_jobs.build.command import TAIL_LINES
from launch_jobs.build.kubernetes_manifest import LABEL, STEPS
from launch_jobs.build.kubernetes_words import StepState, is_over, steps_of, told_step, why_waiting
from launch_jobs.cluster import Cluster, CommandFailed
from launch_jobs.errors import BadInput, BuildError, LaunchError, Refused, Unavailable
from launch_jobs.job import JsonObject

T = TypeVar("T")

LOOK_S = 0.5
_PAUSES_S = (0.5, 1.0, 2.0, 5.0)
_ILL_S = 600.0
"""How long a pod may not start for a reason that seldom ends by itself."""

_SILENCE_S = 60.0
_SLOWEST = 1_000_000
"""Bytes a second, below which the way to a pod is thought to be broken."""

_NOT_YET = Unavailable("they were not brought yet")
_FAILURES = 20
_CHUNK = 1 << 18
_UNPACK = """
[ ! -d /work/context ] || exit 0
folder=$(mktemp -d /work/in.XXXXXX)
head -c "$1" >"$folder/tar"
[ "$(sha256sum <"$folder/tar" | cut -c1-64)" = "$2" ] || { echo "the files of the build were cut off" >&2; exit 1; }
mkdir "$folder/context"
tar -xpf "$folder/tar" -C "$folder/context"
mv -T "$folder/context" /work/context 2>/dev/null || [ -d /work/context ]
rm -rf "$folder"
"""


class BuildFiles:
    """The files of a build, as they are sent.

    Args:
        context: a tar file, open for reading; it is read once for its digest.
    """

    def __init__(self, context: IO[bytes]) -> None:
        self._context = context
        context.seek(0)
        self.digest = hashlib.file_digest(context, "sha256").hexdigest()  # pyright: ignore[reportArgumentType] # a file
        self.size = context.tell()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, from its beginning."""
        self._context.seek(0)
        while data := await asyncio.to_thread(self._context.read, _CHUNK):
            yield data


class BuildPod:
    """The pod of one build, which may not be there yet.

    Args:
        cluster: where.
        namespace: in it.
        name: of its Job.
        log: takes each line.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str, log: Log) -> None:
        self._cluster, self._name, self._log = cluster, name, log
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """Its last lines."""
        self.step = ""
        """The Dockerfile's step that has begun last."""

    async def find(self) -> JsonObject | None:
        """The pod, as the API server tells of it now."""
        told = await self._cluster.read(self._pods, {"labelSelector": f"{LABEL}={self._name}"})
        pods = cast("list[JsonObject]", told.get("items") or [])
        return pods[0] if pods else None

    async def follow(self) -> None:
        """Pass the lines of each step on; ends with the last step, or with one that fails."""
        for step in STEPS:
            pod, state = await self._begun(step)
            await self._lines(pod, step)
            while state.code is None:
                await asyncio.sleep(LOOK_S)
                _, state = await self._begun(step)
            if state.code:
                return

    async def _begun(self, step: str) -> tuple[str, StepState]:
        """The API's path to the pod, and the state of a step of it that runs or has ended.

        Raises:
            BuildError: for long it could not start.
        """
        said, ill_since, clock = "", None, asyncio.get_running_loop().time
        while True:
            pod = await patiently(self.find)
            state = next((one for one in steps_of(pod or {}) if one.name == step), None)
            if pod and state and (state.is_running or state.code is not None):
                return f"{self._pods}/{cast('JsonObject', pod['metadata'])['name']}", state
            if pod and is_over(pod):
                return f"{self._pods}/{cast('JsonObject', pod['metadata'])['name']}", StepState(step, code=1)
            why = why_waiting(pod or {})
            if why and why != said:
                self._log(f"The build's pod waits: {why}")
                said = why
            ill_since = (ill_since or clock()) if why else None
            if ill_since is not None and clock() - ill_since > _ILL_S:
                do = "Look at [kubernetes_builder] of agent.toml"
                raise BuildError(f"the build's pod did not start: {why}", do=do)
            await asyncio.sleep(LOOK_S)

    async def feed(self, files: BuildFiles, patience_s: float) -> None:
        """Bring the files, unless somebody does; of several bringers the first one counts.

        Args:
            files: of the build.
            patience_s: how long this is left to another agent.

        Raises:
            BuildError: the builder's image cannot take them.
            Refused: this agent may not run a command there.
        """
        clock, failures = asyncio.get_running_loop().time, 0
        until = clock() + patience_s
        while (begun := await self._begun(STEPS[0]))[1].is_running:
            failed = await self._brought(begun[0], files) if clock() >= until else _NOT_YET
            if failed is None:
                return
            if isinstance(failed, Refused):
                raise failed
            # A step that has just ended kills what runs beside it, before the kubelet tells of its end.
            failures += isinstance(failed, CommandFailed)
            if failures == _FAILURES:
                raise BuildError(f"the files of the build did not arrive: {failed.what}", do="Try again") from failed
            await asyncio.sleep(LOOK_S)

    async def _brought(self, pod: str, files: BuildFiles) -> LaunchError | None:
        """Send the files; what went wrong, if anything did."""
        command = ("sh", "-ec", _UNPACK, "launch-unpack", str(files.size), files.digest)
        try:
            async with asyncio.timeout(_SILENCE_S + files.size / _SLOWEST):
                async for _ in self._cluster.run(pod, STEPS[0], command, stdin=files.chunks()):
                    pass
        except LaunchError as error:
            return error
        except TimeoutError:
            self._log("The build's files were not taken; sending them again")
            return _NOT_YET
        return None

    async def _lines(self, pod: str, step: str) -> None:
        """Pass on what a step prints, to its end; after a broken connection, from where it was."""
        seen = 0
        while True:
            number = 0
            try:
                async with aclosing(self._printed(pod, step)) as lines:
                    async for line in lines:
                        number += 1
                        if number > seen:
                            seen = number
                            self._say(line)
            except BadInput:
                return  # the pod is gone, or that step never began
            except Unavailable:
                await asyncio.sleep(LOOK_S)
                continue
            return

    async def _printed(self, pod: str, step: str) -> AsyncGenerator[str]:
        rest = b""
        query = {"container": step, "follow": "true"}
        async with aclosing(self._cluster.stream(f"{pod}/log", query)) as chunks:
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace").rstrip()
        if rest:
            yield rest.decode(errors="replace").rstrip()

    def _say(self, line: str) -> None:
        told, step = told_step(line)
        self.step = step[:120] or self.step
        if told:
            self.tail.append(told)
            self._log(told)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the API server is away: the build goes on meanwhile, and the caller has a time limit."""
    pauses = iter(_PAUSES_S)
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(next(pauses, _PAUSES_S[-1]))
