"""Datasets of a run over memory parts: found, checked, given to the program, and never anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launch_jobs.context import LaunchContext
from launch_jobs.datasets import fetch_datasets, find_datasets
from launch_jobs.errors import BadInput, NotFound, StoreError
from launch_jobs.execution import execute
from launch_jobs.job import CodeSource, Entrypoint, Job, Origin, Overrides
from launch_jobs.names import sha256
from launch_jobs.preparation import Prepared, Resolved, RunCancelled, render, resolve, staging_folder
from launch_jobs.run import Outcome, OutputFile, Outputs, OutputsUrl, Reason, RunState
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.template import base_job_template
from launch_jobs.testing import MemoryObjects, MemoryOutput, MemoryProcess, MemoryTarget

pytestmark = pytest.mark.anyio

EARLIER = "0199d3a1-7c5e-7bb2-9d1e-0123456789ab"
FILES = {"model.bin": b"weights", "plots/a.png": b"a", "plots/deep/b.png": b"b", "model.bin.txt": b"words"}


def _left(store: JobStore, folder: Path) -> None:
    """An earlier run that ended and left FILES."""
    files: list[OutputFile] = []
    for name, data in FILES.items():
        local = folder / sha256(data)[7:]
        local.write_bytes(data)
        files.append(OutputFile(path=name, size=len(data), digest=sha256(data)))
        store.put_output(EARLIER, 1, files[-1], local)
    store.put_outcome(
        Outcome(
            run=EARLIER,
            attempt=1,
            place="process://h/p",
            reason=Reason.EXITED,
            exit_code=0,
            message="",
            ended="2026-01-01T00:00:00+00:00",
            outputs=Outputs(files=tuple(files)),
        )
    )


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """A store with what one earlier run left."""
    store = JobStore(MemoryObjects())
    _left(store, tmp_path)
    return store


def _tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("path", "expected", "file"),
    [
        ("", {f"d/{name}": data for name, data in FILES.items()}, None),
        ("/model.bin", {"d/model.bin": b"weights"}, "model.bin"),
        ("/plots", {"d/a.png": b"a", "d/deep/b.png": b"b"}, None),
        ("/plots/deep/b.png", {"d/b.png": b"b"}, "b.png"),
    ],
)
def test_a_file_or_a_folder_or_all_is_fetched(
    store: JobStore, tmp_path: Path, path: str, expected: dict[str, bytes], file: str | None
) -> None:
    """The URL's path chooses one file, a folder, or everything; what was there before is gone."""
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "old").touch()
    found = find_datasets(store, {"d": f"outputs://{EARLIER}/1{path}"})
    fetch_datasets(store, found, tmp_path / "into")
    assert _tree(tmp_path / "into") == expected
    assert found[0].file == file


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"outputs://{EARLIER}/2", "attempt 2 of run"),
        ("outputs://0199d3a1-0000-7000-8000-000000000000/1", "has no outputs in this store"),
        (f"outputs://{EARLIER}/1/modle.bin", "The run left model.bin"),
        (f"outputs://{EARLIER}/1/model", "does not exist"),
        (f"outputs://{EARLIER}/1/model.bin/x", "does not exist"),
    ],
)
def test_what_no_run_left_is_named(store: JobStore, url: str, words: str) -> None:
    """A run, an attempt or a path that is not there is told by name, before anything is fetched."""
    with pytest.raises(NotFound, match=words):
        find_datasets(store, {"model": url})


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a.b", "a\n", "../x"])
def test_a_dataset_is_named_by_an_identifier(store: JobStore, name: str) -> None:
    """The name becomes part of an environment variable and of a path."""
    with pytest.raises(BadInput, match="cannot name a dataset"):
        find_datasets(store, {name: f"outputs://{EARLIER}/1"})


def test_two_names_never_share_a_variable(store: JobStore) -> None:
    """Names that differ by case only are refused: their variables would be one."""
    url = f"outputs://{EARLIER}/1"
    with pytest.raises(BadInput, match="one variable"):
        find_datasets(store, {"model": url, "Model": url})


def test_a_changed_byte_never_reaches_a_run(tmp_path: Path) -> None:
    """An output that is not what the run left is refused, and its file does not appear."""
    objects = MemoryObjects()
    store = JobStore(objects)
    _left(store, tmp_path)
    (key,) = [key for key in objects.keys("files/") if key.endswith(sha256(b"weights")[7:])]
    objects.delete(key)
    objects.put_if_absent(key, b"weightz")
    with pytest.raises(StoreError):
        fetch_datasets(store, find_datasets(store, {"d": f"outputs://{EARLIER}/1/model.bin"}), tmp_path / "into")
    assert _tree(tmp_path / "into") == {}


def test_a_cancelled_fetch_stops_between_files(store: JobStore, tmp_path: Path) -> None:
    """Nothing more is fetched for a run that was cancelled."""
    answers = iter([False, True, True, True])
    found = find_datasets(store, {"d": f"outputs://{EARLIER}/1"})
    fetch_datasets(store, found, tmp_path / "into", lambda: next(answers))
    assert len(_tree(tmp_path / "into")) == 1


PREPARED = Prepared(image="image", workdir="/workspace", root="/workspace")


async def _read(process: MemoryProcess) -> int:
    path = process.spec.env["LAUNCH_DATASET_MODEL"]
    process.write(process.datasets[path] + b"\n")
    return 0


@pytest.fixture
def context(store: JobStore, tmp_path: Path) -> LaunchContext:
    """An agent's surroundings, whose target prints the dataset `model`."""
    return LaunchContext(
        run="0123",
        kind="docker",
        queue="q",
        template=base_job_template(DockerConfiguration),
        settings=LaunchSettings(home=tmp_path),
        store=store,
        target=MemoryTarget(_read),
    )


async def _resolved(context: LaunchContext, url: str) -> Resolved:
    job = Job(source=CodeSource(tree=sha256(b"")), entrypoint=Entrypoint(argv=("python", "evaluate.py")))
    version = context.store.add("evaluate", job, Origin())
    return await resolve(context, version.reference, Overrides(datasets={"model": url}))


async def test_the_program_reads_what_another_run_left(context: LaunchContext) -> None:
    """The variable names the file with the other run's bytes; nothing stays staged."""
    output = MemoryOutput()
    resolved = await _resolved(context, f"outputs://{EARLIER}/1/model.bin")
    outcome = await execute(context, resolved, PREPARED, output)
    assert (outcome.state, output.texts) == (RunState.COMPLETED, ["weights"])
    assert not staging_folder(context).exists()


async def test_the_agent_checks_again(context: LaunchContext) -> None:
    """A dataset that is gone since the submit ends the run before anything is started."""
    with pytest.raises(NotFound, match="attempt 9"):
        await _resolved(context, f"outputs://{EARLIER}/9")


async def test_an_adopted_attempt_is_not_given_its_datasets_again(context: LaunchContext) -> None:
    """Once started it has them: the agent that adopts it fetches nothing, though the files are gone by now."""
    resolved = await _resolved(context, f"outputs://{EARLIER}/1/model.bin")
    place = await context.target.place("lj-0123-a1")
    fetch_datasets(context.store, resolved.datasets, staging_folder(context))
    await context.target.ensure(render(context, resolved, PREPARED, place))
    broken = resolved.datasets[0].model_copy(update={"url": OutputsUrl(run="0123", attempt=7)})
    outcome = await execute(context, resolved.model_copy(update={"datasets": (broken,)}), PREPARED, MemoryOutput())
    assert outcome.state is RunState.COMPLETED


async def test_a_damaged_dataset_starts_nothing(context: LaunchContext) -> None:
    """The run ends by the store's fault, and its program never ran."""
    resolved = await _resolved(context, f"outputs://{EARLIER}/1/model.bin")
    broken = resolved.datasets[0].model_copy(update={"url": OutputsUrl(run="0123", attempt=7)})
    with pytest.raises(StoreError, match="missing"):
        await execute(context, resolved.model_copy(update={"datasets": (broken,)}), PREPARED, MemoryOutput())
    assert await context.target.status(await context.target.place("lj-0123-a1")) is None
    assert not staging_folder(context).exists()


async def test_a_run_cancelled_before_its_datasets_are_there_leaves_nothing(
    context: LaunchContext, tmp_path: Path
) -> None:
    """It ends as cancelled; nothing is started, and its checkout is gone."""
    here = replace(context, kind="process", template=base_job_template(ProcessConfiguration))
    resolved = await _resolved(here, f"outputs://{EARLIER}/1")
    here.cancelled.set()
    checkout = tmp_path / "sources"
    checkout.mkdir()
    with pytest.raises(RunCancelled):
        await execute(here, resolved, Prepared(image="", root=str(checkout)), MemoryOutput())
    assert await here.target.status(await here.target.place("lj-0123-a1")) is None
    assert not checkout.exists()
