"""The Leases of agents against the real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import yaml
from infrastructure.cluster import Cluster

from launch_jobs.cluster import Cluster as Connection
from launch_jobs.cluster import ClusterAccess, ClusterConflict
from launch_jobs.cluster.leases import LEFT_S, Leases

pytestmark = pytest.mark.anyio


@pytest.fixture
async def leases(cluster: Cluster, k8s_namespace: str) -> AsyncGenerator[Leases]:
    """Those of a namespace that has none yet."""
    made = Leases(Connection(ClusterAccess(yaml.safe_load(cluster.kubeconfig.read_text()))), k8s_namespace)
    yield made
    await made.close()


async def test_each_agent_keeps_its_own(leases: Leases) -> None:
    """One after another, renewed in their places, and one of them left."""
    for holder in ("one_a", "two_b", "one_a"):
        await leases.renew(await leases.read(), holder, 15)
    first, second = await leases.read()
    assert [(lease.holder, lease.identity) for lease in (first, second)] == [("one_a", "a"), ("two_b", "b")]
    assert first.renewed > second.renewed
    await leases.renew([first, second], "one_a", LEFT_S)
    left, _ = await leases.read()
    assert (left.holder, left.duration_s, left.acquired) == ("one_a", LEFT_S, first.acquired)


async def test_of_two_that_write_at_once_one_is_told(leases: Leases) -> None:
    """When they make it, and when they renew what they have read."""
    made = await asyncio.gather(*(leases.renew([], one, 15) for one in ("one_a", "two_b")), return_exceptions=True)
    assert [type(error) for error in made if error] == [ClusterConflict]
    read = await leases.read()
    await leases.renew(read, read[0].holder, 15)
    with pytest.raises(ClusterConflict):
        await leases.renew(read, read[0].holder, 15)


async def test_one_that_nobody_renews_for_an_hour_is_the_next_agents(
    cluster: Cluster, k8s_namespace: str, leases: Leases
) -> None:
    """Not one that was."""
    for holder in ("one_a", "two_b"):
        await leases.renew(await leases.read(), holder, 15)
    old = '{"spec":{"renewTime":"2026-01-01T00:00:00.000000Z"}}'
    cluster.kubectl("patch", f"--namespace={k8s_namespace}", "lease/launch-agent-1", "--type=merge", "-p", old)
    await leases.renew(await leases.read(), "three_c", 15)
    assert [(lease.holder, lease.transitions) for lease in await leases.read()] == [("one_a", 0), ("three_c", 1)]
