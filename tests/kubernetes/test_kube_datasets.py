"""Datasets on their way into pods of the real cluster, without agents: whole or not at all, whatever happens."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from infrastructure.cluster import Cluster
from pydantic import JsonValue

from launch_jobs.cluster import Cluster as ApiServer
from launch_jobs.cluster import ClusterAccess, CommandFailed
from launch_jobs.errors import Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.data_volume import ACCEPT, DATA, RECEIVE
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.target import KubernetesTarget
from launch_jobs.targets.render import Attempt, StagedDataset, render_kubernetes

pytestmark = pytest.mark.anyio

_LONG = "long-" * 40 + "name"


@pytest.fixture
async def target(cluster: Cluster) -> AsyncGenerator[KubernetesTarget]:
    """As the administrator."""
    made = KubernetesTarget(_access(cluster))
    yield made
    await made.close()


def _access(cluster: Cluster, server: str | None = None) -> ClusterAccess:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    if server:
        config["clusters"][0]["cluster"]["server"] = server
    return ClusterAccess(config)


def _spec(cluster: Cluster, namespace: str, script: str, *datasets: StagedDataset, **operators: Any) -> RunSpec:
    attempt = Attempt(
        run_id=str(uuid.uuid4()),
        number=1,
        job="job@sha256:0",
        queue="q",
        image=cluster.base_image,
        command=("sh", "-c", script),
        root="/tmp/source",
        directory="/tmp",
        datasets=datasets,
    )
    return render_kubernetes(attempt, KubernetesConfiguration(namespace=namespace, **operators), load_kinds())


def _job(job: JsonObject, **pod: JsonValue) -> JsonObject:
    """A manifest of the operator's own."""
    pod_spec: JsonObject = {"containers": [{"name": "main"}], **pod}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {**job, "template": {"spec": pod_spec}}}


def _staged(folder: Path, size: int = 0) -> StagedDataset:
    """A dataset of a file of that size, or of some small ones with odd names."""
    (folder / "deep").mkdir(parents=True)
    if size:
        with (folder / "large").open("wb") as file:
            file.write(os.urandom(1 << 20))
            file.truncate(size)
    (folder / "deep" / _LONG).write_text("long\n")
    (folder / "deep" / "two\nlines ü").write_text("odd\n")
    (folder / "run.sh").write_text("echo executed\n")
    (folder / "run.sh").chmod(0o555)
    (folder / "link").symlink_to(f"deep/{_LONG}")
    return StagedDataset("train", str(folder))


async def _printed(target: KubernetesTarget, spec: RunSpec) -> list[str]:
    """What an attempt prints until its end; it has to end well, and is removed then."""
    place = await target.place_of(spec)
    said = b"".join([chunk.data async for chunk in target.logs(place, None)]).decode().splitlines()
    status = await target.status(place)
    await target.remove(place)
    assert status is not None
    assert status.exit_code == 0, (said, status)
    return said


async def _waits(target: KubernetesTarget, spec: RunSpec, what: Callable[[str], bool]) -> str:
    """The first reason like that for which an attempt has not started yet."""
    async for reason in target.waiting(await target.place_of(spec)):
        if what(reason):
            return reason
    raise AssertionError("it started")


async def test_data_is_there_before_the_program_and_read_only(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """By its variable, at an absolute path, and in the source tree, where the program may write beside it."""
    script = """
    cd $LAUNCH_DATASET_TRAIN && cat link "deep/two
lines ü" && ./run.sh; touch new 2>/dev/null || echo closed
    cat /data/abs.txt; (echo x > /data/abs.txt) 2>/dev/null || echo closed
    cd /tmp/source; cat data/one.txt data/more/x; echo mine > data/mine; (echo x > data/one.txt) 2>/dev/null || echo no
    """
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "one.txt").write_text("one\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x").write_text("x\n")
    data = (
        _staged(tmp_path / "train"),
        StagedDataset("abs", str(tmp_path / "one"), "one.txt", "/data/abs.txt"),
        StagedDataset("one", str(tmp_path / "one"), "one.txt", "data/one.txt"),
        StagedDataset("more", str(tmp_path / "more"), None, "data/more"),
    )
    spec = _spec(cluster, k8s_namespace, script, *data)
    await target.ensure(spec)
    said = await _printed(target, spec)
    assert said == ["long", "odd", "executed", "closed", "one", "closed", "one", "x", "no"]


async def test_each_pod_gets_the_data(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """Of a Job with two of them."""
    manifest = _job({"completions": 2, "parallelism": 2, "completionMode": "Indexed"})
    spec = _spec(
        cluster, k8s_namespace, "cat $LAUNCH_DATASET_TRAIN/link", _staged(tmp_path / "train"), manifest=manifest
    )
    await target.ensure(spec)
    assert sorted(await _printed(target, spec)) == ["[0] long", "[1] long"]


async def test_another_agent_goes_on_in_the_middle(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """It begins anew; the program sees the whole, once."""
    staged = _staged(tmp_path / "train", 50 << 20)
    spec = _spec(cluster, k8s_namespace, "sha256sum <$LAUNCH_DATASET_TRAIN/large", staged)
    first = KubernetesTarget(_access(cluster))
    await first.ensure(spec)
    await _waits(first, spec, lambda reason: "on their way" in reason)
    await first.close()
    await target.ensure(spec)
    with (tmp_path / "train" / "large").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert await _printed(target, spec) == [f"{digest}  -"]


async def test_a_broken_connection_is_made_again(cluster: Cluster, k8s_namespace: str, tmp_path: Path) -> None:
    """The reason is told meanwhile; nothing half arrives."""
    host, _, port = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"][8:].partition(
        ":"
    )
    async with _Cutting(host, int(port), after=4 << 20) as proxy:
        target = KubernetesTarget(_access(cluster, f"https://127.0.0.1:{proxy.port}"))
        staged = _staged(tmp_path / "train", 10 << 20)
        spec = _spec(cluster, k8s_namespace, "wc -c <$LAUNCH_DATASET_TRAIN/large", staged)
        await target.ensure(spec)
        reason = await _waits(target, spec, lambda reason: "do not get into its pod" in reason)
        assert "does not answer" in reason or "broke off" in reason
        assert await _printed(target, spec) == [str(10 << 20)]
        await target.close()
    assert proxy.cut == 1


class _Cutting:
    """A way to the API server that breaks the first connection on which that many bytes went there."""

    def __init__(self, host: str, port: int, *, after: int) -> None:
        self.host, self.to, self.after, self.cut, self.port = host, port, after, 0, 0

    async def __aenter__(self) -> _Cutting:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.host, self.to)
        copying = [
            asyncio.ensure_future(one) for one in (self._copy(reader, back, is_there=True), self._copy(there, writer))
        ]
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
        for one in copying:
            one.cancel()
        back.close()
        writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_there: bool = False
    ) -> None:
        passed = 0
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                passed += len(data)
                if is_there and passed > self.after and not self.cut:
                    self.cut += 1
                    return
                writer.write(data)
                await writer.drain()


async def test_a_full_disk_is_told_by_name(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """And nothing starts; the volume is the operator's own. A stop ends it."""
    volume: JsonObject = {"name": DATA, "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}
    staged = _staged(tmp_path / "train", 4 << 20)
    spec = _spec(cluster, k8s_namespace, "echo ran", staged, manifest=_job({}, volumes=[volume]))
    await target.ensure(spec)
    reason = await _waits(target, spec, lambda reason: "do not get into its pod" in reason)
    assert "No space left on device" in reason
    place = await target.place_of(spec)
    assert await target.stop(place, 1)
    await target.remove(place)


async def test_what_did_not_arrive_whole_is_not_accepted(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """The pod compares the digest itself, and goes on waiting; an agent that has the data then brings it."""
    spec = _spec(
        cluster, k8s_namespace, "cat $LAUNCH_DATASET_TRAIN/link", StagedDataset("train", str(tmp_path / "train"))
    )
    await target.ensure(spec)
    pods, server = f"/api/v1/namespaces/{k8s_namespace}/pods", ApiServer(_access(cluster))
    selector = f"--selector=job-name={spec.name}"
    cluster.kubectl("wait", f"--namespace={k8s_namespace}", "pod", selector, "--for=create", "--timeout=60s")
    ready = "--for=jsonpath={.status.initContainerStatuses[0].state.running}"
    cluster.kubectl("wait", f"--namespace={k8s_namespace}", "pod", selector, ready, "--timeout=60s")
    [pod] = cluster.get(f"--namespace={k8s_namespace}", "pods")["items"]
    path = f"{pods}/{pod['metadata']['name']}"

    async def run(script: str, *arguments: str, stdin: bytes = b"") -> bytes:
        async def given() -> AsyncIterator[bytes]:
            yield stdin

        command = ("sh", "-c", script, "sh", *arguments)
        return b"".join([one async for one in server.run(path, DATA, command, stdin=given())])

    said = await run(RECEIVE, "mine", "1024", stdin=bytes(1024))
    assert said.split()[-1].decode() == hashlib.sha256(bytes(1024)).hexdigest()
    with pytest.raises(CommandFailed):
        await run(ACCEPT, "mine", hashlib.sha256(b"other").hexdigest())
    await server.close()
    _staged(tmp_path / "train")
    await target.ensure(spec)
    assert await _printed(target, spec) == ["long"]


async def test_more_than_the_queue_brings_is_refused(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """Before anything is made."""
    staged = _staged(tmp_path / "train", 3 << 20)
    spec = _spec(cluster, k8s_namespace, "echo ran", staged, dataset_limit="2Mi")
    with pytest.raises(Refused, match="dataset_limit"):
        await target.ensure(spec)
    assert cluster.get(f"--namespace={k8s_namespace}", "jobs")["items"] == []
