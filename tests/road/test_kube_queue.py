"""Jobs on a Kubernetes queue, end to end: a real server, an agent as a process, the real cluster."""

from __future__ import annotations

import signal

import pytest
from infrastructure.cluster import Cluster
from kube import KubeRoad, name_of
from walking import Road

from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL

pytestmark = pytest.mark.anyio


@pytest.fixture
def kube(road: Road, cluster: Cluster, k8s_namespace: str, monkeypatch: pytest.MonkeyPatch) -> KubeRoad:
    """The road to the cluster."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return KubeRoad(road, cluster, k8s_namespace)


async def test_a_run_brings_its_outputs_home_and_leaves_nothing(kube: KubeRoad) -> None:
    """Its parameters reach it, its secret too, which the log does not show."""
    file = kube.road.home / "agent.toml"
    file.touch(mode=0o600)
    await kube.make_queue()
    kube.road.agents[0].stop(signal.SIGKILL)
    file.write_text(f'[secrets.token]\nvalue = "s3cret-value"\nqueues = ["{kube.queue}"]\n')
    kube.road.agent("-q", kube.queue)
    script = 'echo "$LAUNCH_PARAMETERS $TOKEN"; cat /run/secrets/token | wc -c > $LAUNCH_OUTPUT_DIR/size'
    run = await kube.submit(
        f"{script}; echo '{{\"loss\": 0.5}}' > $LAUNCH_OUTPUT_DIR/metrics.json", secrets=["token=TOKEN"]
    )
    info = await kube.road.end(run)
    assert (info.state, info.exit_code, info.metrics) == (RunState.COMPLETED, 0, {"loss": 0.5}), info.reason
    assert sorted(file.path for file in info.outputs) == ["metrics.json", "size"]
    [line] = await kube.log(run)
    assert line.startswith("{} ")
    assert "s3cret" not in line
    await kube.road.until_true(lambda: not kube.objects())


async def test_each_end_says_why(own_cluster: Cluster, kube: KubeRoad) -> None:
    """The program's own code, memory, an image that is not there, GPUs that nobody has."""
    await kube.make_queue()
    script = "x = b'x' * 10**9"
    code, memory, image, gpus = [
        await kube.submit("exit 3"),
        await kube.submit(f'python3 -c "{script}"', memory="64Mi"),
        await kube.submit("true", image="127.0.0.1:1/nowhere:1", start_deadline=12),
        await kube.submit("true", gpus=5, start_deadline=12),
    ]
    waiting = await kube.road.until(gpus, lambda info: "Waiting to start" in (info.reason or ""))
    assert "nvidia.com/gpu" in (waiting.reason or "")
    ends = {run: await kube.road.end(run) for run in (code, memory, image, gpus)}
    assert (ends[code].state, ends[code].exit_code) == (RunState.FAILED, 3)
    assert "memory" in (ends[memory].reason or "")
    for run, word in ((image, "nowhere"), (gpus, "nvidia.com/gpu")):
        assert ends[run].state is RunState.CRASHED
        assert "Not started in time" in (ends[run].reason or "")
        assert word in (ends[run].reason or "")
    await kube.road.until_true(lambda: not kube.objects())


async def test_cancelled_is_said_when_the_program_is_gone(kube: KubeRoad) -> None:
    """Though it does not listen; what it had written comes home."""
    await kube.make_queue()
    run = await kube.submit(
        "trap '' TERM; echo part > $LAUNCH_OUTPUT_DIR/part; echo on; while :; do sleep 1; done", stop_grace_seconds=1
    )
    await kube.running(run, "on")
    await cancel_run(run)
    info = await kube.road.end(run)
    assert info.state is RunState.CANCELLED
    assert info.stopped is not None
    assert info.stopped.killed
    assert [file.path for file in info.outputs] == ["part"]
    await kube.road.until_true(lambda: not kube.objects())


async def test_a_pod_that_is_deleted_by_hand_is_a_loss_and_tried_again(kube: KubeRoad) -> None:
    """By the policy for lost infrastructure, not as the program's failure."""
    await kube.make_queue()
    run = await kube.submit(
        '[ "$LAUNCH_ATTEMPT" = 2 ] && exit; echo on; sleep 600', infrastructure_retries=1, stop_grace_seconds=1
    )
    await kube.running(run, "on")
    kube.kubectl("delete", "pod", "-l", f"{ATTEMPT_LABEL}={name_of(run)}", "--wait=false")
    info = await kube.road.end(run)
    assert (info.state, info.attempt) == (RunState.COMPLETED, 2), info.reason


async def test_an_agent_that_is_killed_is_followed_by_another(kube: KubeRoad) -> None:
    """The run goes on meanwhile; no line of its log is lost or doubled, and its Job is made once."""
    await kube.make_queue()
    count = "i=0; while [ $i -lt 80 ]; do echo line $i; i=$((i+1)); sleep 0.1; done"
    run = await kube.submit(f"{count}; echo 1 > $LAUNCH_OUTPUT_DIR/one")
    await kube.running(run, "line 5")
    kube.road.agents[0].stop(signal.SIGKILL)
    made = kube.kubectl("get", "jobs", "-o", "jsonpath={.items[*].metadata.uid}")
    first, second = kube.road.agent("-q", kube.queue), kube.road.agent("-q", kube.queue)
    assert first.process.pid != second.process.pid
    await kube.running(run, "line 79")
    assert kube.kubectl("get", "jobs", "-o", "jsonpath={.items[*].metadata.uid}") == made
    info = await kube.road.end(run)
    assert info.state is RunState.COMPLETED, info.reason
    assert await kube.log(run) == [f"line {number}" for number in range(80)]
    assert [file.path for file in info.outputs] == ["one"]
