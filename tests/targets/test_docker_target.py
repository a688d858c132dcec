"""What only the Docker target has: the engine's words, hardening, lost answers, broken streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import urllib3.exceptions
from target_stages import Stage

from launch_jobs.engine import Engine, connect
from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.targets.containers import Containers, ContainerState, status_of
from launch_jobs.targets.docker import DockerTarget
from launch_jobs.targets.render import container_body

pytestmark = pytest.mark.anyio


class FaultyEngine:
    """A real engine whose answers to some calls are lost after they were carried out, or whose streams break."""

    def __init__(self, lost: set[str], breaks_after: int | None = None) -> None:
        self._engine = connect()
        self._lost = lost
        self._breaks_after = breaks_after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._engine, name)
        if name not in self._lost:
            return call

        def lose(*args: object, **options: object) -> object:
            call(*args, **options)
            self._lost.discard(name)
            raise requests.ConnectionError("the answer is lost")

        return lose

    def get(self, *args: object, **options: object) -> requests.Response:
        """A response that breaks off, each time a little later."""
        response = cast("Any", self._engine).get(*args, **options)
        if self._breaks_after is not None:
            response.raw.stream = _breaking(response.raw, self._breaks_after)
            self._breaks_after += 200
        return response


def _breaking(raw: Any, size: int) -> Callable[[int], Iterator[bytes]]:
    chunks = cast("Iterator[bytes]", raw.stream(64))

    def stream(_amount: int) -> Iterator[bytes]:
        left = size
        for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left < 0:
                raise urllib3.exceptions.ProtocolError("connection broken")

    return stream


def _faulty(lost: set[str], breaks_after: int | None = None) -> DockerTarget:
    return DockerTarget(lambda: cast("Engine", FaultyEngine(lost, breaks_after)))


@pytest.fixture
async def stage(docker_base: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A Docker target, its containers removed afterwards."""
    target = DockerTarget()
    made = Stage("docker", target, target, docker_base, tmp_path)
    yield made
    await made.clean()
    target.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A connection of the test's own."""
    connection = connect()
    yield connection
    connection.close()


async def test_missing_image_is_bad_input(stage: Stage) -> None:
    """An image that the engine has not is named, and nothing is made."""
    spec = stage.spec("exit").model_copy(update={"image": "launch-jobs/none:0"})
    with pytest.raises(BadInput, match="no image 'launch-jobs/none:0'"):
        await stage.target.ensure(spec)
    assert await stage.target.status(await stage.target.place(spec.name)) is None


async def test_gpus_on_an_engine_without_are_bad_input(stage: Stage, engine: Engine) -> None:
    """The engine's own words come with what to do, and no container stays."""
    if "nvidia" in cast("dict[str, object]", engine.info().get("Runtimes") or {}):
        pytest.skip("this engine has GPUs")
    spec = stage.spec("exit", gpus=1)
    with pytest.raises(BadInput, match=r"could not select device driver.*gpus to 0"):
        await stage.target.ensure(spec)
    assert await stage.target.status(await stage.target.place(spec.name)) is None


async def test_start_that_fails_is_an_end_without_exit_code(stage: Stage) -> None:
    """What the engine cannot start is no exit of the program: told with its words, now and later, never retried."""
    spec = stage.spec("exit", user="nosuch")
    first = await stage.target.ensure(spec)
    assert (first.state, first.exit_code) == ("exited", None)
    assert "nosuch" in first.error
    assert await stage.target.ensure(spec) == first == await stage.end(await stage.target.place(spec.name))


@pytest.mark.parametrize("call", ["create_container_from_config", "start"])
async def test_lost_answer_starts_once(stage: Stage, call: str) -> None:
    """When the engine did what we asked but its answer is lost, looking again finds one container, started once."""
    faulty = _faulty({call})
    spec = stage.spec("exit", 3)
    await faulty.ensure(spec)
    faulty.close()
    place = await stage.target.place(spec.name)
    assert await stage.output(place) == b"start\n"
    assert (await stage.end(place)).exit_code == 3


async def test_created_by_a_dead_agent_is_started(stage: Stage, engine: Engine) -> None:
    """A container whose creator died before starting it is started by the next agent."""
    spec = stage.spec("exit", 3)
    engine.create_container_from_config(container_body(spec), spec.name)
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    assert await stage.output(place) == b"start\n"
    assert (await stage.end(place)).exit_code == 3


async def test_broken_stream_goes_on_where_it_broke(stage: Stage) -> None:
    """A stream that breaks in the middle of a line still gives the whole output, once."""
    _, place = await stage.start("drip", 30)
    faulty = _faulty(set(), breaks_after=100)
    chunks = [chunk.data async for chunk in faulty.logs(place, None)]
    faulty.close()
    assert sorted(b"".join(chunks).splitlines()) == sorted([b"start", *(b"drop %d" % i for i in range(30))])


async def test_foreign_container_is_left_alone(stage: Stage, engine: Engine) -> None:
    """A container of our name that we did not make is neither adopted nor removed."""
    spec = stage.spec("exit")
    engine.create_container_from_config({"Image": stage.image, "Cmd": ["true"]}, spec.name)
    try:
        with pytest.raises(Refused, match="none of ours"):
            await stage.target.ensure(spec)
        with pytest.raises(Refused, match="none of ours"):
            await stage.target.remove(await stage.target.place(spec.name))
        assert engine.inspect_container(spec.name)
    finally:
        engine.remove_container(spec.name, force=True)
    stage.specs.clear()


PROBE = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print({name: int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}, status["NoNewPrivs"].strip())
print(open("/sys/fs/cgroup/pids/pids.max").read().strip() if os.path.exists("/sys/fs/cgroup/pids") else
      open("/sys/fs/cgroup/pids.max").read().strip())
print(sorted(os.listdir("/sys/class/net")), os.path.exists("/var/run/docker.sock"), os.getpid() < 20)
"""


async def test_program_has_no_privileges(stage: Stage) -> None:
    """Seen from inside: no capability, none to be had, a limit of processes, no network but loopback."""
    spec = stage.spec("exit").model_copy(update={"command": ("python3", "-c", PROBE)})
    await stage.target.ensure(spec)
    first, pids, rest = (await stage.output(await stage.target.place(spec.name))).decode().splitlines()
    assert first == "{'CapPrm': 0, 'CapEff': 0, 'CapBnd': 0, 'CapAmb': 0} 1"
    assert pids == "4096"
    assert rest == "['lo'] False True"


async def test_engine_keeps_what_we_sent(stage: Stage, engine: Engine) -> None:
    """The engine's own record of the container equals the body that was rendered."""
    spec, _, _ = await stage.run("exit", 0, memory_bytes=64 << 20, cpus=0.5, shm_bytes=16 << 20)
    host = cast("JsonObject", engine.inspect_container(spec.name)["HostConfig"])
    sent = cast("JsonObject", container_body(spec)["HostConfig"])
    kept = {name: host[name] for name in sent}
    assert kept | {"Binds": []} == sent
    assert not any(host[name] for name in ("CapAdd", "Devices", "VolumesFrom", "PidMode", "UsernsMode", "Privileged"))


async def test_any_user_of_the_image_may_write_outputs(stage: Stage, tmp_path: Path) -> None:
    """The output folder is there and open to a user who is not root."""
    spec, place, _ = await stage.run("exit", 0, user="65534", command=("sh", "-c", "echo 1 > $LAUNCH_OUTPUT_DIR/x"))
    assert (await stage.end(place)).exit_code == 0
    assert await stage.target.collect(place, spec, tmp_path / "home") == ()
    assert (tmp_path / "home" / "x").read_text() == "1\n"


OLD_COPY = "mkdir /tmp/old; echo 1 > /tmp/old/x; touch -t 200001010000 /tmp/old; cp -a /tmp/old/. $LAUNCH_OUTPUT_DIR"
HIDDEN = "cd $LAUNCH_OUTPUT_DIR; mkdir deep; echo 1 > deep/x; touch -t 198001010000 ."


@pytest.mark.parametrize(("script", "path"), [(OLD_COPY, "x"), (HIDDEN, "deep/x")])
async def test_outputs_come_home_whatever_date_their_folder_has(
    stage: Stage, tmp_path: Path, script: str, path: str
) -> None:
    """A program may give the folder any old date, as `cp -a` does."""
    spec, place, _ = await stage.run("exit", 0, command=("sh", "-c", script))
    assert (await stage.end(place)).exit_code == 0
    assert await stage.target.collect(place, spec, tmp_path / "home") == ()
    assert (tmp_path / "home" / path).read_text() == "1\n"


async def test_an_output_folder_that_nobody_touched_is_not_fetched(stage: Stage, tmp_path: Path) -> None:
    """The costly call is not made."""
    spec, place, _ = await stage.run("exit", 0)
    faulty = _faulty({"get_archive"})
    assert await faulty.collect(place, spec, tmp_path / "home") == ()
    faulty.close()


NEVER = "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"Status": "created", "ExitCode": 0}, ("created", None, False)),
        ({"Status": "created", "ExitCode": 127, "Error": "exec: no such file"}, ("exited", 127, False)),
        ({"Status": "created", "ExitCode": 128, "Error": "no address"}, ("exited", None, False)),
        ({"Status": "running", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"}, ("running", None, False)),
        ({"Status": "paused", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"}, ("running", None, False)),
        (
            {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "StartedAt": "2026-01-01T00:00:00Z"},
            ("exited", 137, True),
        ),
        ({"Status": "dead", "ExitCode": 1, "StartedAt": "2026-01-01T00:00:00Z"}, ("exited", 1, False)),
        ({"Status": "removing", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"}, ("exited", 0, False)),
    ],
)
def test_engine_states_have_one_meaning(document: JsonObject, expected: tuple[str, int | None, bool]) -> None:
    """Each state of the engine's is one of ours."""
    state = ContainerState.model_validate({"StartedAt": NEVER, "FinishedAt": NEVER, **document})
    status = status_of(state)
    assert (status.state, status.exit_code, status.out_of_memory) == expected


def test_end_is_never_before_the_start() -> None:
    """The engine stamps start and end of a short run in the wrong order (seen: 2 ms); we do not tell it so."""
    times = {"StartedAt": "2026-11-23T07:03:02.745095224Z", "FinishedAt": "2026-11-23T07:03:02.74334Z"}
    status = status_of(ContainerState.model_validate({"Status": "exited", "ExitCode": 0, **times}))
    assert status.started == status.ended == "2026-11-23T07:03:02.745095+00:00"


async def test_a_container_that_was_only_created_gets_its_datasets_before_its_start(stage: Stage) -> None:
    """Its agent died right after creating it: the next one starts it with everything in it, not without."""
    spec = stage.spec_with_datasets(model={"weights.txt": "w"})
    engine = connect()
    Containers(engine).create(spec)
    engine.close()
    await stage.second.ensure(spec)
    output = await stage.output(await stage.target.place(spec.name))
    assert output == b"start\n/launch/datasets/model/weights.txt w read-only\n"


async def test_an_upload_that_broke_off_is_made_again(stage: Stage) -> None:
    """The engine's answer to the upload is lost: nothing was started, and ensuring again starts it with its files."""
    spec = stage.spec_with_datasets(model={"weights.txt": "w"})
    faulty = _faulty({"put_archive"})
    with pytest.raises(Unavailable):
        await faulty.ensure(spec)
    place = await faulty.place(spec.name)
    status = await faulty.status(place)
    assert status is not None
    assert status.state == "created"
    await faulty.ensure(spec)
    faulty.close()
    assert b"weights.txt w read-only" in await stage.output(place)
