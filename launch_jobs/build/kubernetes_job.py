"""One build in a cluster: its Job created or joined, fed, followed to its end, and removed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import cast

from launch_jobs.build import Log
from launch_jobs.build.kubernetes_manifest import TARGET, ImageBuild, Trust, account_secret, build_job
from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.build.kubernetes_pod import LOOK_S, BuildFiles, BuildPod, patiently
from launch_jobs.build.kubernetes_words import condition_of, failure, is_disrupted, pushed_digest
from launch_jobs.cluster import Cluster, ClusterConflict, WatchExpired
from launch_jobs.errors import Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.names import Digest

_WATCH_S = 60
_LAST_LINES_S = 20.0
_GONE_S = 60.0
_HELP_S = 20.0
"""How long after its start the files of a build are left to the agent that made it; then another one brings them."""

_TRIES = 3


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

    async def run(self, build: ImageBuild, files: BuildFiles) -> Digest | None:
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
                return await self._followed(build, made, files, is_ours=is_ours)
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
                return await patiently(lambda: self._cluster.create(self._jobs, wanted)), True
            except ClusterConflict:
                found = await patiently(lambda: self._cluster.find(f"{self._jobs}/{build.name}"))
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
            await patiently(lambda: self._cluster.create(f"{self._core}/secrets", secret))

    async def _followed(
        self, build: ImageBuild, made: JsonObject, files: BuildFiles, *, is_ours: bool
    ) -> Digest | None:
        pod = BuildPod(self._cluster, self._namespace, build.name, self._log)
        ending = asyncio.ensure_future(self._end(made))
        following = asyncio.ensure_future(pod.follow())
        feeding = asyncio.ensure_future(pod.feed(files, 0.0 if is_ours else _HELP_S))
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
        return await self._judged(build, over, pod, is_ours=is_ours)

    async def _judged(self, build: ImageBuild, over: JsonObject, pod: BuildPod, *, is_ours: bool) -> Digest | None:
        condition, found = condition_of(over) or {}, await patiently(pod.find)
        if condition.get("type") == "Complete":
            await self._remove(over)
            return pushed_digest(found) if found else None
        # Only who made the Job deletes it when it failed, so that to him a pod that is gone was lost.
        is_away = found is None or "deletionTimestamp" in _metadata(found)
        is_gone = is_away and (is_ours or not pod.tail)
        if condition.get("reason") != "DeadlineExceeded" and (is_gone or is_disrupted(found or {})):
            raise _Lost
        raise failure(build.tag, condition, found, pod.step, "\n".join(pod.tail))

    async def _end(self, made: JsonObject) -> JsonObject:
        """The Job when it is over.

        Raises:
            _Gone: it was deleted before.
        """
        path, name, uid = self._jobs, _metadata(made)["name"], _metadata(made)["uid"]
        while True:
            found = await patiently(lambda: self._cluster.find(f"{path}/{name}"))
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
            await asyncio.sleep(LOOK_S)
        return None

    async def _remove(self, made: JsonObject, *, wait: bool = False) -> None:
        """Delete this very Job with all that is its own; with `wait` it returns when no pod of it is left."""
        path = f"{self._jobs}/{_metadata(made)['name']}"
        clock = asyncio.get_running_loop().time
        until, is_asked = clock() + _GONE_S, False
        while clock() < until:
            found = await patiently(lambda: self._cluster.find(path))
            if found is None or _metadata(found)["uid"] != _metadata(made)["uid"]:
                return
            if not is_asked and "deletionTimestamp" not in _metadata(found):
                await patiently(lambda: self._cluster.delete(path, propagation="Foreground"))
            is_asked = True
            if not wait:
                return
            await asyncio.sleep(LOOK_S)


def _metadata(one: JsonObject) -> JsonObject:
    return cast("JsonObject", one["metadata"])
