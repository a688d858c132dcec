"""`launch prune` against a real server, store, home and engine: what goes, and what is never touched."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commands import Terminal, typed
from walking import Road

from launch_jobs.build.venv import COMPLETE, venv_digest
from launch_jobs.capture import capture_folder
from launch_jobs.datasets import cached_folder, dataset_cache
from launch_jobs.errors import NotFound
from launch_jobs.job import Environment, Overrides
from launch_jobs.local.connection import Connection
from launch_jobs.local.lifecycle import down, up
from launch_jobs.names import attempt_name
from launch_jobs.retention import Item, Kind, Limits, carry_out, plan
from launch_jobs.retention.shelves import look_around, shelf
from launch_jobs.runs import fetch_outputs, show_run
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.sealed import seal, seal_of
from launch_jobs.submission import Submission, submit

pytestmark = pytest.mark.anyio

LEAVES = 'echo out; cd "$LAUNCH_OUTPUT_DIR"; echo result > out.txt; echo "{\\"loss\\": 1}" > metrics.json'
ALL = Limits(older_than_s=0)


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Connection]:
    """A server of these tests alone: images and environments stay for whatever others have queued."""
    folder = tmp_path_factory.mktemp("server")
    settings = LaunchSettings(home=folder / "home", port=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_PROFILES_PATH", str(folder / "profiles.toml"))
        yield up(settings, say=print).connection
    down(settings, say=print)


async def _ran(road: Road, *, times: int = 1) -> list[str]:
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    job = road.job(LEAVES)
    runs = [await road.submit(job, queue) for _ in range(times)]
    for run in runs:
        await road.end(run)
    agent.stop()
    return runs


def _look(road: Road, kind: Kind) -> list[Item]:
    return shelf(kind, look_around(LaunchSettings(home=road.home), road.store)).items()


def _carry_out(road: Road, kind: Kind, only: set[str]) -> set[str]:
    """Prune, of things of a kind, those that are this test's own: server and engine are shared with others."""
    around = look_around(LaunchSettings(home=road.home), road.store)
    shelved = shelf(kind, around)
    found = plan(shelved, ALL, datetime.now(UTC) + timedelta(seconds=1))
    going = tuple(item for item in found.going if item.key in only)
    planned = type(found)(kind, going, found.kept, found.kept_bytes, found.needed)
    return {item.key for item in carry_out(planned, shelved, lambda _: None)}


async def _prune(road: Road, kind: Kind, *only: str) -> set[str]:
    return await asyncio.to_thread(_carry_out, road, kind, set(only))


async def _reading(road: Road, given: str) -> str:
    """A queued run whose dataset is what another one left."""
    queue = await road.queue("process")
    overrides = Overrides(datasets={"model": f"outputs://{given}/1/out.txt"})
    run = await submit(Submission(job=road.job("true").reference, queue=queue, overrides=overrides), road.store)
    return str(run.id)


def _whole(road: Road) -> bool:
    return not list(road.store.check(lambda _: None))


async def test_a_run_goes_whole_and_one_whose_outputs_are_needed_stays(road: Road) -> None:
    """Record, outcome, outputs and log; but not what a queued run is given, nor that run itself."""
    old, given = await _ran(road, times=2)
    waits = await _reading(road, given)
    assert await _prune(road, Kind.RUNS, old, given, waits) == {old}
    with pytest.raises(NotFound):
        await show_run(old, road.store)
    assert road.store.outcome(old) is None
    assert not [path for path in _under(road.home / "store") if old in path.parts and path.is_file()]
    assert len((await show_run(given, road.store)).outputs) == 2
    assert (await show_run(waits, road.store)).state_name == "Scheduled"
    assert _whole(road)


def _under(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_outputs_and_logs_go_alone(road: Road, tmp_path: Path) -> None:
    """The run keeps its metrics; who asks for the files is told that they were pruned; the store is still whole."""
    run, given = await _ran(road, times=2)
    await _reading(road, given)
    parts = {f"{run}/1", f"{given}/1"}
    assert await _prune(road, Kind.OUTPUTS, *parts) == {f"{run}/1"}
    assert road.store.get_log(run, 1, tmp_path / "log")
    assert await _prune(road, Kind.LOGS, *parts) == {f"{run}/1"}
    assert not road.store.get_log(run, 1, tmp_path / "gone")
    assert (await show_run(run, road.store)).metrics == {"loss": 1}
    with pytest.raises(NotFound, match="were pruned"):
        await fetch_outputs(run, road.store, tmp_path / "fetched")
    await fetch_outputs(given, road.store, tmp_path / "given")
    assert _whole(road)
    assert await _prune(road, Kind.RUNS, run) == {run}
    assert _whole(road)


def _venv(road: Road, environment: Environment) -> str:
    """What looks like a finished environment."""
    name = venv_digest(environment).removeprefix("sha256:")[:32]
    folder = road.home / "venvs" / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_bytes(bytes(10000))
    (folder / COMPLETE).touch()
    return name


async def test_an_environment_that_a_queued_run_needs_stays(road: Road) -> None:
    """The other goes, with its size told; a queue that is paused counts as well."""
    needed, other = Environment(python="3.11.1"), Environment(python="3.11.2")
    names = _venv(road, needed), _venv(road, other)
    queue = await road.queue("process")
    await road.submit(road.job("true", environment=needed), queue)
    assert await _prune(road, Kind.VENVS, *names) == {names[1]}
    assert sorted(path.name for path in (road.home / "venvs").iterdir() if path.is_dir()) == [names[0]]


def _cached(road: Road, digest: str) -> Path:
    """A dataset as an agent keeps it to be mounted."""
    new = road.home / "new"
    new.mkdir(parents=True)
    (new / "x.txt").write_text("x\n")
    folder = cached_folder(dataset_cache(road.home), digest)
    folder.parent.mkdir(exist_ok=True)
    seal(new, folder)
    return folder


async def test_a_mounted_dataset_that_a_queued_run_declares_stays(road: Road, tmp_path: Path) -> None:
    """The other goes, with its seal: no half one looks whole."""
    (tmp_path / "x.txt").write_text("x\n")
    source = tmp_path / "source"
    source.mkdir()
    (source / "run.sh").touch()
    data = {"x": str(tmp_path / "x.txt")}
    version = capture_folder(source, ["sh", "run.sh"], store=road.store, name=f"reads-{road.mark}", datasets=data)
    (declared,) = version.job.datasets
    folders = [_cached(road, digest) for digest in (declared.digest or "", f"sha256:{'0' * 64}")]
    await road.submit(version, await road.queue("process"))
    assert await _prune(road, Kind.DATASETS, *(folder.name for folder in folders)) == {folders[1].name}
    left = [path for path in (road.home / "dataset-cache").iterdir() if path.suffix != ".lock"]
    assert sorted(left) == [folders[0], seal_of(folders[0])]


async def test_outputs_that_a_job_declares_as_its_dataset_stay(road: Road, tmp_path: Path) -> None:
    """Job versions always stay, and so does what they need; the run that left it is over."""
    given, other = await _ran(road, times=2)
    (tmp_path / "run.sh").touch()
    data = {"x": f"outputs://{given}/1/out.txt"}
    capture_folder(tmp_path, ["sh", "run.sh"], store=road.store, name=f"reads-{road.mark}", datasets=data)
    assert await _prune(road, Kind.OUTPUTS, f"{given}/1", f"{other}/1") == {f"{other}/1"}
    assert await _prune(road, Kind.RUNS, given, other) == {other}


async def test_what_an_ended_attempt_left_goes_and_a_queued_runs_checkout_stays(road: Road) -> None:
    """Folders are judged by the run that they are named after; one of no run at all goes, too."""
    (over,) = await _ran(road)
    queue = await road.queue("process")
    waits = await road.submit(road.job("true"), queue)
    left = [_left(road, place, run) for place in ("sources", "datasets") for run in (over, waits, str(uuid.uuid4()))]
    gone = await _prune(road, Kind.SOURCES, *left)
    assert gone == {name for name in left if waits.replace("-", "") not in name}
    assert {name for name in left if (road.home / name).exists()} == set(left) - gone


def _left(road: Road, place: str, run: str) -> str:
    """A folder with a read-only part, as an agent leaves it when it is killed."""
    folder = road.home / place / attempt_name(run, 1) / "inner"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    folder.chmod(0o555)
    return str(folder.parent.relative_to(road.home))


async def test_the_command_lists_asks_and_removes(road: Road) -> None:
    """A dry run and a no remove nothing; yes removes, and tells the bytes; what it shows is what goes."""
    name = _left(road, "sources", str(uuid.uuid4()))
    typed_words = ("prune", "--only", "sources", "--older-than", "sources=0")
    dry = await typed(road, *typed_words, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert (dry.document["removed"], (road.home / name).is_dir()) == ([], True)
    with Terminal(road, *typed_words) as screen:
        await asyncio.to_thread(screen.until, lambda seen: "Remove 1 things" in seen)
        screen.type("n\n")
        assert await asyncio.to_thread(screen.end) == 0
    assert (road.home / name).is_dir()
    done = await typed(road, *typed_words, "--yes")
    assert done.code == 0, done.err
    assert name in done.out
    assert "Removed 1, freed" in done.out
    assert not (road.home / name).exists()


WRONG = [
    (("--only", "everything"), "is not one of"),
    (("--older-than", "jobs=1d"), "'jobs' is nothing that can be pruned"),
    (("--older-than", "soon"), "is no duration"),
    (("--max-size", "runs=2gb"), "'2gb' is no size"),
    (("--keep-last", "-1"), "'-1' is no number"),
]


@pytest.mark.parametrize(("words", "says"), WRONG)
async def test_a_wrong_limit_is_bad_input(road: Road, words: tuple[str, ...], says: str) -> None:
    """One line, before anything is looked at."""
    said = await typed(road, "prune", *words)
    assert (said.code, len(said.err.splitlines())) == (2, 1), said.err
    assert says in said.err


@pytest.fixture
def images(docker_base: str) -> Iterator[tuple[str, str, str]]:
    """An environment's image with two jobs' images on it, labelled and named as the builder does; their ids."""
    mark = uuid.uuid4().hex
    env = _image(docker_base, "env", mark, {"environment-digest": f"sha256:{mark * 2}"})
    jobs: list[str] = []
    for number in "ab":
        digest = (number + mark[1:]) * 2
        labels = {"image-digest": f"sha256:{digest}", "job-digest": f"sha256:{digest[::-1]}"}
        jobs.append(_image(env, "job", digest[:32], labels))
    yield env, jobs[0], jobs[1]
    for image in (*jobs, env):
        subprocess.run(["docker", "rmi", "-f", image], capture_output=True, env=_environment(), check=False)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}


def _image(base: str, kind: str, tag: str, labels: dict[str, str]) -> str:
    said = [f"--label=org.launch-jobs.{name}={value}" for name, value in labels.items()]
    _docker("build", "-q", "-t", f"launch-jobs/{kind}:{tag}", *said, "-", stdin=f"FROM {base}\n")
    return _docker("inspect", "--format", "{{.Id}}", f"launch-jobs/{kind}:{tag}")


def _docker(*arguments: str, stdin: str = "") -> str:
    command = ["docker", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=_environment(), check=True)
    return done.stdout.strip()


async def test_an_image_that_a_container_has_stays_and_so_does_what_it_stands_on(
    road: Road, images: tuple[str, str, str]
) -> None:
    """The other job's image goes; when the container is gone, the rest goes, the environment's last."""
    env, used, unused = images
    container = _docker("create", used, "true")
    try:
        assert await _prune(road, Kind.IMAGES, *images) == {unused}
        needed = {item.key: item.needed for item in await asyncio.to_thread(_look, road, Kind.IMAGES)}
        assert needed[used]
    finally:
        _docker("rm", "-f", container)
    assert await _prune(road, Kind.IMAGES, *images) == {used, env}


async def test_an_image_that_a_queued_run_needs_stays(road: Road, docker_base: str) -> None:
    """By the digest of its job, which is on the image's label."""
    version = road.job(f"true # {uuid.uuid4()}")
    digest = uuid.uuid4().hex * 2
    labels = {"image-digest": f"sha256:{digest}", "job-digest": version.digest}
    image = _image(docker_base, "job", digest[:32], labels)
    try:
        queue = await road.queue("docker")
        run = await road.submit(version, queue)
        assert await _prune(road, Kind.IMAGES, image) == set()
        assert (await typed(road, "cancel", run)).code == 0
        assert await _prune(road, Kind.IMAGES, image) == {image}
    finally:
        subprocess.run(["docker", "rmi", "-f", image], capture_output=True, env=_environment(), check=False)  # noqa: ASYNC221 - the end of the test
