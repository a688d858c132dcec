"""What is left of a container that ended: the most memory it had, and what its engine remembers."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from target_stages import Stage

from launch_jobs.run import Place
from launch_jobs.targets.container_memory import peak_file, peak_in, watch_peak
from launch_jobs.targets.docker import DockerTarget

pytestmark = pytest.mark.anyio
EATS = "import time; block = bytearray({mb} << 20); print('full', flush=True); time.sleep({seconds})"


@pytest.fixture
async def stage(docker_base: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A Docker target, its containers removed afterwards."""
    target = DockerTarget()
    made = Stage("docker", target, target, docker_base, tmp_path)
    yield made
    await made.clean()
    target.close()


async def _run(stage: Stage, mb: int, seconds: float, memory: int | None = None) -> Place:
    command = ("python3", "-c", EATS.format(mb=mb, seconds=seconds))
    spec = stage.spec("exit").model_copy(update={"command": command, "memory_bytes": memory})
    place = await stage.target.place(spec.name)
    await stage.target.ensure(spec)
    async for _ in stage.target.logs(place, None):
        pass
    return place


async def test_the_most_memory_of_a_container_is_told(stage: Stage) -> None:
    """What it had at its most, not at its end; known after the end alone."""
    status = await stage.target.status(await _run(stage, 60, 3))
    assert status is not None
    assert 60 << 20 < (status.peak_memory_bytes or 0) < 200 << 20


async def test_one_that_the_kernel_ended_had_all_of_its_limit(stage: Stage) -> None:
    """However fast it was; and the engine's events say so."""
    place = await _run(stage, 200, 0, memory=32 << 20)
    status = await stage.target.status(place)
    assert status is not None
    assert (status.out_of_memory, status.exit_code, status.peak_memory_bytes) == (True, 137, 32 << 20)
    told = [line.split(" ", 1)[1] for line in await cast("DockerTarget", stage.target).events(place)]
    assert {"start", "oom", "die exitCode=137"} <= set(told)


async def test_an_engine_tells_the_memory_of_what_runs_elsewhere(stage: Stage) -> None:
    """Where no file of this host's kernel is the container's, as on another machine."""
    spec = stage.spec("wait")
    await stage.target.ensure(spec)
    containers = cast("DockerTarget", stage.target)._containers()  # pyright: ignore[reportPrivateUsage] - of the test's own engine
    container = containers.inspect(spec.name)
    assert container is not None
    assert peak_file(container.id, os.getpid()) is None
    assert (containers.peak_memory(spec.name) or 0) > 1 << 20


async def test_engines_of_both_kinds_of_cgroups_are_understood() -> None:
    """The first kind tells a peak, the second what is used now; nothing is no zero."""
    assert peak_in({"memory_stats": {"max_usage": 7, "usage": 3}}) == 7
    assert peak_in({"memory_stats": {"usage": 3, "stats": {}}}) == 3
    assert peak_in({"memory_stats": {}}) is None


async def test_a_peak_is_read_until_the_container_is_gone(tmp_path: Path) -> None:
    """A file that goes away is the end of reading, not of the run."""
    file, seen, two = tmp_path / "memory.peak", list[int](), asyncio.Event()
    file.write_text("5\n")

    def keep(peak: int) -> None:
        seen.append(peak)
        if peak == 5:
            file.write_text("9\n")
        else:
            file.unlink(missing_ok=True)
            two.set()

    async def nobody() -> int | None:
        raise AssertionError(math.nan)

    watching = asyncio.ensure_future(watch_peak(file, nobody, keep))
    await two.wait()
    watching.cancel()
    assert seen == [5, 9]
