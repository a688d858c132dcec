"""Agents of several homes on one Kubernetes queue: who dies, freezes or leaves is soon followed by another."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from uuid import UUID

import pytest
from infrastructure.cluster import Cluster
from kube import KubeRoad, name_of
from walking import LIMIT_S, Agent, Road

from launch_jobs.client import connect
from launch_jobs.cluster.leases import LEFT_S
from launch_jobs.run import RunState
from launch_jobs.workers.ownership import identity_of, is_worked_on
from launch_jobs.workers.reconciling import last_claim

pytestmark = pytest.mark.anyio

_SCRIPT = "echo one; while [ ! -e /tmp/go ]; do sleep 0.2; done; echo two; echo 1 > $LAUNCH_OUTPUT_DIR/one; exit 4"


class _Replicas:
    """Agents with homes of their own, by their identities; and a run that goes from one to another."""

    def __init__(self, kube: KubeRoad, folder: Path) -> None:
        self.kube, self.run = kube, ""
        self._folder = folder
        self._agents: dict[str, Agent] = {}
        self._homes: dict[str, Path] = {}

    async def start_first(self) -> None:
        """Make the queue, with its first agent."""
        home = self._new_home("a")
        await self.kube.make_queue()
        await self._has_lease(home, self.kube.road.agents[-1])

    async def start(self, *names: str) -> None:
        """Start more agents at once."""
        begun = [(self._new_home(name), self.kube.road.agent("-q", self.kube.queue)) for name in names]
        for home, agent in begun:
            await self._has_lease(home, agent)

    def _new_home(self, name: str) -> Path:
        self.kube.road.host = home = self._folder / name
        home.mkdir()
        return home

    async def _has_lease(self, home: Path, agent: Agent) -> None:
        await self.kube.road.until_true(lambda: (identity_of(home) or "none") in self.leases())
        identity = identity_of(home) or ""
        self._agents[identity], self._homes[identity] = agent, home

    def leases(self) -> str:
        """A line a Lease: its holder, and for how long it counts."""
        line = "{range .items[*]}{.spec.holderIdentity} {.spec.leaseDurationSeconds}\n{end}"
        return self.kube.kubectl("get", "leases", "-o", f"jsonpath={line}")

    def jobs(self) -> str:
        """The uids of all Jobs."""
        return self.kube.kubectl("get", "jobs", "-o", "jsonpath={.items[*].metadata.uid}")

    async def holder(self, not_any_more: str = "") -> str:
        """Who claimed the run last; waits until it is another one."""
        begun, identity = time.monotonic(), not_any_more
        async with connect() as client:
            while identity == not_any_more:
                assert time.monotonic() < begun + LIMIT_S, self.kube.road.agents_said()
                await asyncio.sleep(0.3)
                claim = last_claim(await client.read_flow_run_states(UUID(self.run)))
                identity = claim.identity if claim else not_any_more
        return identity

    async def hit(self, number: signal.Signals) -> str:
        """Send the agent that has the run a signal, and wait until another one has it; who had it."""
        identity = await self.holder()
        await self.kube.road.until_true(lambda: self.has_said(identity, "Beginning flow run"))
        self._agents[identity].process.send_signal(number)
        await self.holder(not_any_more=identity)
        return identity

    def thaw(self, identity: str) -> None:
        """Let a frozen agent go on."""
        self._agents[identity].process.send_signal(signal.SIGCONT)

    def works(self, identity: str) -> bool:
        """Whether an agent works on the run."""
        return is_worked_on(self._homes[identity], self.run)

    def has_said(self, identity: str, words: str) -> bool:
        """Whether an agent has logged something."""
        return words in self._agents[identity].log.read_text()


@pytest.fixture
def replicas(
    road: Road, cluster: Cluster, k8s_namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> _Replicas:
    """None yet; their queue is the test's own."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("LAUNCH_JOBS_LEASE_S", "8")
    monkeypatch.setenv("LAUNCH_JOBS_STORE", (road.home / "store").as_uri())
    return _Replicas(KubeRoad(road, cluster, k8s_namespace), tmp_path)


async def test_a_run_goes_from_agent_to_agent(replicas: _Replicas) -> None:
    """Killed, frozen, asked to leave: long before the server shows it. One Job, its exit code, its log, its outputs."""
    kube = replicas.kube
    await replicas.start_first()
    replicas.run = await kube.submit(_SCRIPT)
    await kube.running(replicas.run, "one")
    await replicas.start("b", "c")
    made = replicas.jobs()
    await replicas.hit(signal.SIGKILL)
    frozen = await replicas.hit(signal.SIGSTOP)
    replicas.thaw(frozen)
    await kube.road.until_true(lambda: not replicas.works(frozen))
    left = await replicas.hit(signal.SIGTERM)
    assert f"{left} {LEFT_S}\n" in replicas.leases() or replicas.has_said(left, "Others learn late")
    assert replicas.jobs() == made
    kube.kubectl("exec", f"job/{name_of(replicas.run)}", "-c", "main", "--", "touch", "/tmp/go")
    info = await kube.road.end(replicas.run)
    assert (info.state, info.exit_code, info.attempt) == (RunState.FAILED, 4, 1)
    assert await kube.log(replicas.run) == ["one", "two"]
    assert [file.path for file in info.outputs] == ["one"]
    assert "Crash" not in kube.road.agents_said()
    await kube.road.until_true(lambda: not kube.objects())
