"""One build in a cluster: its Job created or joined, fed, followed to its end, and removed."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import IO, TypeVar, cast

from launch_jobs.build import Log
from launch_jobs.build.command import TAIL_LINES
from launch_jobs.build.kubernetes_manifest import LABEL, STEPS, TARGET, ImageBuild, Trust, account_secret, build_job
from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.build.kubernetes_words import (
    StepState,
    condition_of,
    failure,
    is_disrupted,
    is_over,
    pushed_digest,
    steps_of,
    told_step,
    why_waiting,
)
from launch_jobs.cluster import Cluster, ClusterConflict, CommandFailed, WatchExpired
from launch_jobs.errors import BadInput, BuildError, LaunchError, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.names import Digest

T = TypeVar("T")

_LOOK_S = 0.5
_PAUSES_S = (0.5, 1.0, 2.0, 5.0)
_WATCH_S = 60
_LAST_LINES_S = 20.0
_GONE_S = 60.0
_ILL_S = 600.0
"""How long a pod may not start for a reason that seldom ends by itself."""

_HELP_S = 20.0
"""How long after its start the files of a build are left to the agent that made it; then another one brings them."""

_SILENCE_S = 60.0
_SLOWEST = 1_000_000
"""Bytes a second, below which the way to a pod is thought to be broken."""

_NOT_YET = Unavailable("they were not brought yet")
_FAILURES = 20
_TRIES = 3
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


class _Gone(Exception):
    """Somebody deleted the Job: nothing is known of its build."""


class _Lost(Exception):
    """The pod did not end by itself."""


class ClusterBuild:
    """The build of one image, seen by one agent. Others may see the same one.

    Args:
        cluster: where.
        namespace: in it.
        options: the operator's.
        trust: how the builder reaches registries.
        log: takes each line.
    """

    def __init__(self, cluster: Cluster, namespace: str, options: ClusterBuilder, *, trust: Trust, log: Log) -> None:
        self._cluster, self._options, self._trust, self._log = cluster, options, trust, log
        self._namespace = namespace
        self._core = f"/api/v1/namespaces/{namespace}"
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._step = ""

    async def run(self, build: ImageBuild, context: IO[bytes]) -> Digest | None:
        """Build and push an image, or wait for an agent that does; the digest that was pushed, if it is known.

        Raises:
            BuildError: it failed; with its last lines.
            Refused: the cluster refuses; or the Job's name is somebody else's.
            Unavailable: its pod was lost again and again.
        """
        lost = 0
        while lost < _TRIES:
            making = asyncio.ensure_future(self._made(build))
            try:
                made, is_ours = await asyncio.shield(making)
            except asyncio.CancelledError:
                made, is_ours = await making
                await self._leave(made, is_ours=is_ours)
                raise
            try:
                await self._give_account(made)
                return await self._followed(build, made, context, is_ours=is_ours)
            except _Gone:
                self._log("The build was ended by another agent; beginning anew")
            except _Lost:
                self._log("The build's pod was lost; beginning anew")
                lost += 1
            except BaseException:
                await self._leave(made, is_ours=is_ours)
                raise
            await self._remove(made, wait=True)
        raise Unavailable(f"the build of {build.tag} was lost {_TRIES} times", do="Try again")

    async def _leave(self, made: JsonObject, *, is_ours: bool) -> None:
        """Whoever made it ends it when his build is cancelled, too late or failed: the others just look on."""
        if is_ours:
            await self._remove(made, wait=True)

    async def _made(self, build: ImageBuild) -> tuple[JsonObject, bool]:
        """The Job, new or another agent's, and whether we made it. What is left of an old one gives way."""
        wanted = build_job(build, self._namespace, self._options)
        while True:
            try:
                return await self._patiently(lambda: self._cluster.create(self._jobs, wanted)), True
            except ClusterConflict:
                found = await self._patiently(lambda: self._cluster.find(f"{self._jobs}/{build.name}"))
            if found is not None and await self._is_usable(found, build):
                self._log(f"An agent builds {build.tag} already; following it")
                return found, False

    async def _is_usable(self, found: JsonObject, build: ImageBuild) -> bool:
        metadata = _metadata(found)
        annotations = cast("JsonObject", metadata.get("annotations") or {})
        if annotations.get(TARGET) != str(build.target):
            raise Refused(f"the Job {build.name} in {self._namespace} is none of ours", do="Rename or remove it")
        over = condition_of(found)
        if "deletionTimestamp" not in metadata and (over is None or over["type"] == "Complete"):
            return True
        await self._remove(found, wait=True)
        return False

    async def _give_account(self, made: JsonObject) -> None:
        """The Secret, for which its pod waits."""
        with suppress(ClusterConflict):
            secret = account_secret(made, self._trust)
            await self._patiently(lambda: self._cluster.create(f"{self._core}/secrets", secret))

    async def _followed(
        self, build: ImageBuild, made: JsonObject, context: IO[bytes], *, is_ours: bool
    ) -> Digest | None:
        feed = _Feed(context, patience_s=0.0 if is_ours else _HELP_S)
        ending = asyncio.ensure_future(self._end(made))
        following = asyncio.ensure_future(self._follow(build.name))
        feeding = asyncio.ensure_future(self._feed(build.name, feed))
        try:
            running: list[asyncio.Task[None]] = [following, feeding]
            while not ending.done():
                await asyncio.wait({ending, *running}, return_when=asyncio.FIRST_COMPLETED)
                for one in running:
                    if one.done():
                        one.result()
                running = [one for one in running if not one.done()]
            over = ending.result()
            await asyncio.wait({following}, timeout=_LAST_LINES_S)
        finally:
            ending.cancel()
            following.cancel()
            feeding.cancel()
            await asyncio.gather(ending, following, feeding, return_exceptions=True)
        pod = await self._patiently(lambda: self._pod(build.name))
        return await self._judged(build, over, pod, is_ours=is_ours)

    async def _judged(
        self, build: ImageBuild, over: JsonObject, pod: JsonObject | None, *, is_ours: bool
    ) -> Digest | None:
        condition = condition_of(over) or {}
        if condition.get("type") == "Complete":
            await self._remove(over)
            return pushed_digest(pod) if pod else None
        # Only who made the Job deletes it when it failed, so that to him a pod that is gone was lost.
        is_away = pod is None or "deletionTimestamp" in _metadata(pod)
        is_gone = is_away and (is_ours or not self._tail)
        if condition.get("reason") != "DeadlineExceeded" and (is_gone or is_disrupted(pod or {})):
            raise _Lost
        raise failure(build.tag, condition, pod, self._step, "\n".join(self._tail))

    async def _end(self, made: JsonObject) -> JsonObject:
        """The Job when it is over.

        Raises:
            _Gone: it was deleted before.
        """
        path, name, uid = self._jobs, _metadata(made)["name"], _metadata(made)["uid"]
        while True:
            found = await self._patiently(lambda: self._cluster.find(f"{path}/{name}"))
            if found is None or _metadata(found)["uid"] != uid:
                raise _Gone
            if condition_of(found):
                return found
            if over := await self._watched(found):
                return over

    async def _watched(self, found: JsonObject) -> JsonObject | None:
        """Watch a Job a while; the Job if it was over at any time, even if somebody deleted it right after."""
        metadata = _metadata(found)
        query = {
            "fieldSelector": f"metadata.name={metadata['name']}",
            "resourceVersion": str(metadata["resourceVersion"]),
        }
        try:
            async with aclosing(self._cluster.watch(self._jobs, query, seconds=_WATCH_S)) as events:
                async for event in events:
                    one = cast("JsonObject", event["object"])
                    if condition_of(one):
                        return one
                    if event.get("type") == "DELETED" or "deletionTimestamp" in _metadata(one):
                        raise _Gone
        except (Unavailable, WatchExpired):
            await asyncio.sleep(_LOOK_S)
        return None

    async def _follow(self, name: str) -> None:
        """Pass the lines of each step on; ends with the last step, or with one that fails."""
        for step in STEPS:
            pod, state = await self._begun(name, step)
            await self._lines(pod, step)
            while state.code is None:
                await asyncio.sleep(_LOOK_S)
                _, state = await self._begun(name, step)
            if state.code:
                return

    async def _begun(self, name: str, step: str) -> tuple[str, StepState]:
        """The API's path to the pod, and the state of a step of it that runs or has ended.

        Raises:
            BuildError: for long it could not start.
        """
        said, ill_since, clock = "", None, asyncio.get_running_loop().time
        while True:
            pod = await self._patiently(lambda: self._pod(name))
            state = next((one for one in steps_of(pod or {}) if one.name == step), None)
            if pod and state and (state.is_running or state.code is not None):
                return self._path(pod), state
            if pod and is_over(pod):
                return self._path(pod), StepState(step, code=1)
            why = why_waiting(pod or {})
            if why and why != said:
                self._log(f"The build's pod waits: {why}")
                said = why
            ill_since = (ill_since or clock()) if why else None
            if ill_since is not None and clock() - ill_since > _ILL_S:
                do = "Look at [kubernetes_builder] of agent.toml"
                raise BuildError(f"the build's pod did not start: {why}", do=do)
            await asyncio.sleep(_LOOK_S)

    async def _feed(self, name: str, feed: _Feed) -> None:
        """Bring the files, unless somebody does; of several bringers the first one counts."""
        clock, failures = asyncio.get_running_loop().time, 0
        until = clock() + feed.patience_s
        while (begun := await self._begun(name, STEPS[0]))[1].is_running:
            failed = await self._brought(begun[0], feed) if clock() >= until else _NOT_YET
            if failed is None:
                return
            # A step that has just ended kills what runs beside it, before the kubelet tells of its end.
            failures += isinstance(failed, CommandFailed)
            if failures == _FAILURES:
                raise BuildError(f"the files of the build did not arrive: {failed.what}", do="Try again") from failed
            await asyncio.sleep(_LOOK_S)

    async def _brought(self, pod: str, feed: _Feed) -> LaunchError | None:
        """Send the files; what went wrong, if anything did."""
        command = ("sh", "-ec", _UNPACK, "launch-unpack", str(feed.size), feed.digest)
        try:
            async with asyncio.timeout(_SILENCE_S + feed.size / _SLOWEST):
                async for _ in self._cluster.run(pod, STEPS[0], command, stdin=feed.chunks()):
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
                await asyncio.sleep(_LOOK_S)
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
        self._step = step[:120] or self._step
        if told:
            self._tail.append(told)
            self._log(told)

    async def _pod(self, name: str) -> JsonObject | None:
        told = await self._cluster.read(f"{self._core}/pods", {"labelSelector": f"{LABEL}={name}"})
        pods = cast("list[JsonObject]", told.get("items") or [])
        return pods[0] if pods else None

    def _path(self, pod: JsonObject) -> str:
        return f"{self._core}/pods/{_metadata(pod)['name']}"

    async def _remove(self, made: JsonObject, *, wait: bool = False) -> None:
        """Delete this very Job with all that is its own; with `wait` it returns when no pod of it is left."""
        path = f"{self._jobs}/{_metadata(made)['name']}"
        clock = asyncio.get_running_loop().time
        until, is_asked = clock() + _GONE_S, False
        while clock() < until:
            found = await self._patiently(lambda: self._cluster.find(path))
            if found is None or _metadata(found)["uid"] != _metadata(made)["uid"]:
                return
            if not is_asked and "deletionTimestamp" not in _metadata(found):
                await self._patiently(lambda: self._cluster.delete(path, propagation="Foreground"))
            is_asked = True
            if not wait:
                return
            await asyncio.sleep(_LOOK_S)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask again while the API server is away: the build goes on meanwhile, and the caller has a time limit."""
        pauses = iter(_PAUSES_S)
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(next(pauses, _PAUSES_S[-1]))


class _Feed:
    """The files of a build, as they are sent.

    Args:
        context: a tar file, open for reading.
        patience_s: how long they are left to another agent.
    """

    def __init__(self, context: IO[bytes], *, patience_s: float) -> None:
        self._context, self.patience_s = context, patience_s
        context.seek(0)
        self.digest = hashlib.file_digest(context, "sha256").hexdigest()  # pyright: ignore[reportArgumentType] # a file
        self.size = context.tell()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, from its beginning."""
        self._context.seek(0)
        while data := await asyncio.to_thread(self._context.read, _CHUNK):
            yield data


def _metadata(one: JsonObject) -> JsonObject:
    return cast("JsonObject", one["metadata"])
