"""What the API server and the network to it do wrong, by a proxy before a real one: a run ends as it would have ended.

All rounds are played at once, each with a proxy and a target of its own, by the first test that asks.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from attempts import Ended, Play, Stage
from faults.fault_proxy import FaultProxy, Rule, proxy_to
from infrastructure.cluster import Cluster

from launch_jobs.cluster import ClusterAccess
from launch_jobs.job import JsonObject
from launch_jobs.names import attempt_name
from launch_jobs.run import RunState
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.target import KubernetesTarget

_GONE = '{"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}'
_RULE = 'User "a" cannot list resource "pods" in API group "" in the namespace "n"'
_NO_RIGHT = json.dumps({"kind": "Status", "code": 403, "reason": "Forbidden", "message": f"pods is forbidden: {_RULE}"})
_COUNT = "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); sleep 0.1; done"
_HELD = f"{_COUNT}; while [ ! -e /tmp/go ]; do sleep 0.1; done"

Let = Callable[[], Awaitable[None]]
"""Lets the program go on to its end."""


@dataclass(frozen=True)
class Round:
    """One run behind a proxy.

    Attributes:
        rules: of the proxy, from the start.
        meddle: what is done to the proxy once the program runs, which does not end before it is let go.
        what: of the requests that a fault is proven by.
    """

    rules: tuple[Rule, ...] = ()
    meddle: Callable[[FaultProxy, Let], Awaitable[None]] | None = None
    what: str = ""


async def _cut_off(proxy: FaultProxy, let_go: Let) -> None:
    """Every connection ends, again and again."""
    for number in range(6):
        proxy.cut()
        await asyncio.sleep(0.5)
        if number == 3:
            await let_go()


async def _away(proxy: FaultProxy, let_go: Let) -> None:
    """Nobody is there while the program ends."""
    proxy.go_down()
    await let_go()
    await asyncio.sleep(4)
    proxy.come_back()


async def _forbidden(proxy: FaultProxy, let_go: Let) -> None:
    """The account may do nothing while the program ends."""
    proxy.rules.append(Rule(r"\S+ /api", "status", times=1000, status=403, body=_NO_RIGHT))
    proxy.cut()
    await let_go()
    await asyncio.sleep(4)
    proxy.come_back()


async def _dead(proxy: FaultProxy, let_go: Let) -> None:
    """The program ends while a connection says nothing."""
    while not proxy.requests.get("delay"):  # noqa: ASYNC110 - a proxy has no event
        await asyncio.sleep(0.1)
    await let_go()


def _rounds() -> dict[str, Round]:
    lost = tuple(Rule(what, "drop", times=2) for what in (r"POST .*/jobs$", r"DELETE .*/jobs/", r"DELETE .*/pods/"))
    busy = tuple(Rule(r"\S+ /api", "status", times=3, status=status, seconds=1) for status in (429, 503, 500))
    halves = (Rule(r"GET .*/pods\?label", "truncate", times=2), Rule(r"GET .*watch=1", "truncate", times=3))
    return {
        "lost answers": Round(lost, what="drop"),
        "overloaded": Round(busy, what="status"),
        "half answers": Round(halves, what="truncate"),
        "forgotten versions": Round((Rule("watch=1", "status", times=9, status=410, body=_GONE),), what="status"),
        "dead watches": Round((Rule("watch=1", "delay", times=1000, seconds=60),), what="delay"),
        "dead log": Round((Rule("follow=true", "delay", times=1, seconds=60),), _dead, what="delay"),
        "forbidden": Round(meddle=_forbidden, what="status"),
        "cut connections": Round(meddle=_cut_off, what="passed"),
        "away": Round(meddle=_away, what="passed"),
    }


@pytest.fixture(scope="module")
def door(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The API server without TLS, as a socket: a proxy in between can read what it breaks."""
    socket = tmp_path_factory.mktemp("door") / "api"
    options = (f"--unix-socket={socket}", "--disable-filter")
    command = [cluster.program, "--kubeconfig", str(cluster.kubeconfig), "proxy", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        assert "Starting to serve" in process.stdout.readline()
        yield socket
        process.terminate()


@dataclass(frozen=True)
class Result:
    """What came of a round.

    Attributes:
        ended: how the run ended.
        requests: what became of the requests.
    """

    ended: Ended
    requests: dict[str, int]


@dataclass(frozen=True)
class Results:
    """What came of all rounds.

    Attributes:
        rounds: each.
        objects: uids of all workload objects that there ever were, by the attempt that they are labelled with.
    """

    rounds: dict[str, Result | BaseException]
    objects: dict[str, set[str]]


@pytest.fixture(scope="module")
def results(cluster: Cluster, door: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """What came of them."""
    namespace, folder = f"faults-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("home")
    cluster.kubectl("create", "namespace", namespace)
    label = ATTEMPT_LABEL.replace(".", "\\.")
    columns = f"custom-columns=A:.metadata.labels.{label},U:.metadata.uid"
    jobs = ("get", "jobs", "--watch", "--no-headers", f"--output={columns}", f"--namespace={namespace}")
    command = [cluster.program, "--kubeconfig", str(cluster.kubeconfig), *jobs]
    try:
        seen = folder / "seen"
        with seen.open("w") as file, subprocess.Popen(command, stdout=file) as witness:
            try:
                rounds = asyncio.run(_all_played(cluster, namespace, door, folder))
            finally:
                witness.terminate()
        objects = defaultdict[str, set[str]](set)
        for line in seen.read_text().splitlines():
            name, uid = line.split()
            objects[name].add(uid)
        yield Results(rounds, objects)
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


async def _all_played(cluster: Cluster, namespace: str, door: Path, home: Path) -> dict[str, Result | BaseException]:
    rounds = _rounds()
    playing = (_played(cluster, namespace, door, home, one) for one in rounds.values())
    found = await asyncio.gather(*playing, return_exceptions=True)
    return dict(zip(rounds, found, strict=True))


async def _played(cluster: Cluster, namespace: str, door: Path, home: Path, round: Round) -> Result:
    async with proxy_to(str(door)) as proxy:
        proxy.rules += round.rules
        target = KubernetesTarget(_access(proxy.address))
        change = round.meddle

        async def meddle(name: str) -> None:
            go = (f"--namespace={namespace}", "exec", f"job/{name}", "--container=main", "--", "touch", "/tmp/go")
            if change:
                await change(proxy, lambda: asyncio.to_thread(_run, cluster, go))

        script = f"{_HELD if change else _COUNT}; exit 3"
        play = Play(script, operator={"namespace": namespace}, meddle=meddle)
        try:
            ended = await Stage(target, cluster.base_image, home).play(play)
        finally:
            await target.close()
        return Result(ended, proxy.requests)


def _run(cluster: Cluster, arguments: tuple[str, ...]) -> None:
    cluster.kubectl(*arguments)


def _access(address: str) -> ClusterAccess:
    config: JsonObject = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"http://{address}"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "users": [{"name": "it", "user": {}}],
    }
    return ClusterAccess(config)


@pytest.mark.parametrize("name", _rounds())
def test_a_run_ends_as_without_the_fault(name: str, results: Results) -> None:
    """One object, every line of its log once, its own exit code; and the fault did happen."""
    result = results.rounds[name]
    assert isinstance(result, Result), result
    assert (result.ended.outcome.state, result.ended.outcome.exit_code) == (RunState.FAILED, 3), result.ended.outcome
    assert list(result.ended.log) == [f"line {number}" for number in range(30)]
    assert len(results.objects[attempt_name(result.ended.outcome.run, 1)]) == 1
    assert result.requests.get(_rounds()[name].what)
