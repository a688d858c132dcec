"""What every target does, whatever it runs attempts on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from target_stages import Stage, living, witness

from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.targets.docker import DockerTarget
from launch_jobs.targets.process import ProcessTarget
from launch_jobs.testing import MemoryTarget

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "process", "docker"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A target of each kind, with a second agent beside it; nothing is left afterwards."""
    if request.param == "memory":
        memory = MemoryTarget(witness)
        made = Stage("memory", memory, memory, "", tmp_path)
    elif request.param == "process":
        made = Stage("process", ProcessTarget(tmp_path), ProcessTarget(tmp_path), "", tmp_path)
    else:
        image = request.getfixturevalue("docker_base")
        made = Stage("docker", DockerTarget(), DockerTarget(), image, tmp_path)
    try:
        yield made
    finally:
        await made.clean()
        for target in (made.target, made.second):
            if isinstance(target, DockerTarget):
                target.close()


@pytest.mark.parametrize("code", [0, 3, 255])
async def test_exit_code_is_the_programs(stage: Stage, code: int) -> None:
    """The exit code is told as the program gave it, with its times."""
    _, place, _ = await stage.run("exit", code)
    end = await stage.end(place)
    assert (end.exit_code, end.error) == (code, "")
    assert end.started is not None
    assert end.ended is not None
    assert end.started <= end.ended


@pytest.mark.parametrize("number", [9, 11, 15])
async def test_signal_is_told_as_a_shell_tells_it(stage: Stage, number: int) -> None:
    """A program that a signal ended has exit code 128 + its number."""
    _, place, _ = await stage.run("die", number)
    assert (await stage.end(place)).exit_code == 128 + number


async def test_absent_attempt_has_no_status(stage: Stage) -> None:
    """Where nothing was made, there is nothing; looking makes nothing either."""
    place = await stage.target.place("lj-00000000000000000000000000000000-a1")
    assert await stage.target.status(place) is None
    assert await stage.target.status(place) is None


async def test_place_survives_being_written_down(stage: Stage) -> None:
    """A place read back from its text is the same place."""
    place = await stage.target.place("lj-00000000000000000000000000000000-a1")
    assert type(place).parse(str(place)) == place
    assert await stage.second.place("lj-00000000000000000000000000000000-a1") == place


async def test_ensure_again_adopts(stage: Stage) -> None:
    """A second ensure, by this or another agent, finds the running attempt and starts nothing."""
    spec, place = await stage.start("polite", 4)
    await stage.output_until(place, b"ready")
    assert (await stage.target.ensure(spec)).state == "running"
    assert (await stage.second.ensure(spec)).state == "running"
    await stage.target.stop(place, 30)
    assert (await stage.output(place)).count(b"start\n") == 1


async def test_ensure_after_the_end_starts_nothing(stage: Stage) -> None:
    """A program that ended is never run again."""
    spec, place, output = await stage.run("exit", 3)
    assert (await stage.second.ensure(spec)).exit_code == 3
    assert await stage.output(place) == output == b"start\n"


async def test_concurrent_ensures_start_once(stage: Stage) -> None:
    """Of many agents that ensure at the same time, one starts the program, and all find it."""
    spec = stage.spec("exit", 3)
    found = await asyncio.gather(*(target.ensure(spec) for target in (stage.target, stage.second) * 3))
    place = await stage.target.place(spec.name)
    assert await stage.output(place) == b"start\n"
    assert {status.state for status in found} <= {"running", "exited"}
    assert (await stage.end(place)).exit_code == 3


async def test_name_of_another_run_is_refused(stage: Stage) -> None:
    """A taken name is adopted only if the labels say that it is the same attempt."""
    spec, _, _ = await stage.run("exit", 0)
    other = spec.model_copy(update={"labels": {**spec.labels, "org.launch-jobs.attempt": "2"}})
    with pytest.raises(Refused, match="another run or attempt"):
        await stage.target.ensure(other)


async def test_output_is_whole(stage: Stage) -> None:
    """All output comes, to the last byte without newline, and then the stream ends."""
    _, _, output = await stage.run("lines", 1000)
    expected = b"start\n" + b"".join(b"line %d\n" % i for i in range(1000)) + b"no newline"
    assert output == expected


async def test_much_output_is_whole(stage: Stage) -> None:
    """Two hundred thousand lines come in order."""
    _, _, output = await stage.run("lines", 200_000)
    assert output.splitlines()[1:-1] == [b"line %d" % i for i in range(200_000)]


async def test_output_goes_on_at_every_offset(stage: Stage) -> None:
    """Read on from any chunk's offset, nothing is lost and nothing comes twice."""
    _, place = await stage.start("drip", 40)
    chunks = [chunk async for chunk in stage.target.logs(place, None)]
    whole = b"".join(chunk.data for chunk in chunks)
    assert sorted(whole.splitlines()) == sorted([b"start", *(b"drop %d" % i for i in range(40))])
    for position, chunk in enumerate(chunks):
        rest = b"".join(later.data for later in chunks[position + 1 :])
        assert await stage.output(place, chunk.offset) == rest


async def test_output_is_live(stage: Stage) -> None:
    """A line is there while the program runs, and a reader may leave."""
    _, place = await stage.start("wait")
    assert b"ready" in await stage.output_until(place, b"ready")
    status = await stage.target.status(place)
    assert status is not None
    assert status.state == "running"


async def test_binary_output_does_not_stop_the_stream(stage: Stage) -> None:
    """Bytes that are no text come through (Docker's log keeps UTF-8 only: it puts U+FFFD for the rest)."""
    _, _, output = await stage.run("binary")
    raw = bytes(range(256))
    expected = raw.decode(errors="replace").encode() if stage.kind == "docker" else raw
    assert output == b"start\n" + expected


async def test_stop_ends_the_whole_tree(stage: Stage) -> None:
    """Children that ignore SIGTERM in sessions of their own are gone when stop returns."""
    spec, place = await stage.start("stubborn")
    await stage.output_until(place, b"ready")
    assert len(living(spec.name)) >= 3 or stage.kind == "memory"
    stopped = await stage.target.stop(place, 0.3)
    assert living(spec.name) == []
    assert stopped and stopped.signalled and stopped.killed
    assert stopped.signalled < stopped.killed < stopped.gone
    assert (await stage.end(place)).exit_code == 137


async def test_end_of_the_program_ends_the_whole_tree(stage: Stage) -> None:
    """What a program leaves behind when it is killed does not live on."""
    spec, place = await stage.start("stubborn")
    await stage.output_until(place, b"ready")
    await stage.target.remove(place)
    assert living(spec.name) == []


async def test_stop_is_polite_first(stage: Stage) -> None:
    """A program that ends on SIGTERM keeps its own exit code, and stop does not wait out the grace."""
    _, place = await stage.start("polite", 5)
    await stage.output_until(place, b"ready")
    async with asyncio.timeout(60):
        stopped = await stage.target.stop(place, 3600)
    assert stopped and stopped.signalled and stopped.killed is None
    assert (await stage.end(place)).exit_code == 5


async def test_stop_of_what_does_not_run_does_nothing(stage: Stage) -> None:
    """Stopping again, or what never was, is no error and changes nothing."""
    _, place, _ = await stage.run("exit", 3)
    before = await stage.end(place)
    assert await stage.target.stop(place, 0) is None
    assert await stage.end(place) == before
    await stage.target.stop(await stage.target.place("lj-00000000000000000000000000000000-a2"), 0)


async def test_outputs_come_home(stage: Stage, tmp_path: Path) -> None:
    """Regular files of the output folder and of the collected paths come; links and devices are named as left out."""
    spec, place, _ = await stage.run("outputs", 1000, collect=("made/by", "alone.txt", "missing"))
    home = tmp_path / "home"
    left_out = await stage.target.collect(place, spec, home)
    found = {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert found == {
        "model.bin": bytes(range(256)),
        "deep/big": bytes(1000),
        "made/by/me.txt": b"made",
        "alone.txt": b"alone",
    }
    assert {"link", "fifo"} <= set(left_out) or stage.kind == "memory"


async def test_without_a_captured_run_what_the_program_wrote_comes_home(stage: Stage, tmp_path: Path) -> None:
    """Everything it wrote beside itself, and none of the source."""
    if stage.kind == "process":
        root = tmp_path / "source"
        root.mkdir()
        (root / "train.py").write_text("")
        os.utime(root / "train.py", (1, 1))  # checked out long ago
        changes: dict[str, object] = {"root": str(root), "source": str(root), "directory": str(root)}
    else:
        changes = {}
    spec, place, _ = await stage.run("outputs", 10, collect=None, **changes)
    home = tmp_path / "home"
    await stage.target.collect(place, spec, home)
    found = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert found == {"model.bin", "deep/big", "made/by/me.txt", "alone.txt"}


async def test_outputs_over_the_limit_are_left_out(stage: Stage, tmp_path: Path) -> None:
    """What is over the limit stays behind and is named; what fits comes."""
    spec, place, _ = await stage.run("outputs", 5000, output_limit_bytes=300)
    left_out = await stage.target.collect(place, spec, tmp_path / "home")
    assert "deep/big" in left_out
    assert (tmp_path / "home" / "model.bin").stat().st_size == 256


LONG = "deep/" + "n" * 120 + ".txt"


async def test_datasets_are_there_before_the_program_starts(stage: Stage) -> None:
    """Every file of every dataset is at its path, whole and read-only, also after the staged files are gone."""
    spec = stage.spec_with_datasets(model={"weights.txt": "w" * 600, LONG: "ä"}, words={"a b.txt": ""})
    await stage.target.ensure(spec)
    stage.unstage(spec)
    printed = (await stage.output(await stage.target.place(spec.name))).decode().splitlines()
    model, words = sorted(spec.datasets)
    assert printed[1:] == [
        f"{model}/{LONG} ä read-only",
        f"{model}/weights.txt {'w' * 600} read-only",
        f"{words}/a b.txt  read-only",
    ]


async def test_adopting_needs_no_staged_datasets(stage: Stage) -> None:
    """A second agent finds the attempt with its datasets, though nothing is staged for it."""
    spec = stage.spec_with_datasets(model={"weights.txt": "w"})
    await stage.target.ensure(spec)
    stage.unstage(spec)
    place = await stage.target.place(spec.name)
    before = await stage.output(place)
    assert (await stage.second.ensure(spec)).exit_code == 0
    assert await stage.output(place) == before


async def test_an_attempt_with_read_only_datasets_is_removed(stage: Stage) -> None:
    """What nobody may write is removed with its attempt all the same."""
    spec = stage.spec_with_datasets(model={"weights.txt": "w", LONG: "x"})
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    await stage.output(place)
    await stage.target.remove(place)
    assert await stage.target.status(place) is None
    assert not list((stage.folder / "runs").glob(f"*{spec.name}*"))


async def test_a_config_file_is_put_in_its_place_before_the_start(stage: Stage) -> None:
    """The program finds the run's own file, with the mode and the age of the one in the source tree."""
    spec = await stage.spec_with_file()
    assert spec.files[0].before != "new: 2"
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    assert await stage.output(place) == b"start\n0o100644 True new: 2\n"
    assert (await stage.second.ensure(spec)).exit_code == 0
    assert await stage.output(place) == b"start\n0o100644 True new: 2\n"


async def test_a_placed_config_file_is_no_output(stage: Stage, tmp_path: Path) -> None:
    """What we put into the source tree was not made by the program."""
    spec = (await stage.spec_with_file()).model_copy(update={"collect": None})
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    await stage.output(place)
    await stage.target.collect(place, spec, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("os-release"))


@pytest.mark.parametrize("stage", ["docker"], indirect=True)
@pytest.mark.parametrize(("path", "found"), [("no/such.yaml", "no such file"), ("os-release", "another file")])
async def test_another_file_than_was_captured_is_refused(stage: Stage, path: str, found: str) -> None:
    """An image whose Dockerfile left the file out, or changed it, is not run with the captured values in silence."""
    spec = await stage.spec_with_file(before="lr: 1")
    spec = spec.model_copy(update={"files": (spec.files[0].model_copy(update={"path": path}),)})
    with pytest.raises(BadInput, match=found):
        await stage.target.ensure(spec)
    assert await stage.target.status(await stage.target.place(spec.name)) is None


@pytest.mark.parametrize("stage", ["docker"], indirect=True)
async def test_the_source_of_an_own_dockerfile_is_in_its_working_directory(stage: Stage) -> None:
    """Where nobody says where the source tree is, the working directory is tried, and the content proves it."""
    spec = (await stage.spec_with_file()).model_copy(update={"root": None, "directory": "/usr/lib", "user": "1000"})
    await stage.target.ensure(spec)
    assert await stage.output(await stage.target.place(spec.name)) == b"start\n0o100644 True new: 2\n"


@pytest.mark.parametrize("stage", ["process"], indirect=True)
async def test_a_changed_checkout_ends_the_attempt(stage: Stage) -> None:
    """A process whose config file is another than was captured does not start, and says so."""
    spec = await stage.spec_with_file(before="lr: 1")
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    assert await stage.output(place) == b""
    end = await stage.end(place)
    assert (end.exit_code, "not the file that was captured" in end.error) == (126, True)


async def test_removed_attempt_is_gone(stage: Stage) -> None:
    """After remove nothing is there, and removing again is no error."""
    _, place, _ = await stage.run("exit", 0)
    await stage.target.remove(place)
    assert await stage.target.status(place) is None
    await stage.target.remove(place)


async def test_attempt_elsewhere_never_looks_absent(stage: Stage) -> None:
    """Of a place on another host nothing is known: saying "absent" would start the program twice."""
    place = (await stage.target.place("lj-00000000000000000000000000000000-a1")).model_copy(update={"host": "other"})
    with pytest.raises(Unavailable):
        await stage.target.status(place)


@pytest.mark.parametrize("stage", ["process", "docker"], indirect=True)
async def test_missing_command_is_exit_code_127(stage: Stage) -> None:
    """A program that is not there ends the attempt as a shell tells it, now and later (memory has one program)."""
    spec = stage.spec("exit").model_copy(update={"command": ("no-such-program",)})
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    await stage.output(place)
    assert (await stage.end(place)).exit_code == 127
    assert await stage.target.ensure(spec) == await stage.end(place)
