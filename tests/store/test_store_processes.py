"""Many processes on one folder store, some of them killed."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from store_samples import make_job
from store_writers import move_alias, publish, publish_and_die

from launch_jobs.job import Origin
from launch_jobs.store.jobs import open_store

WRITERS = 20


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Fresh processes that have the store imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["launch_jobs.store.jobs"])  # `tests/store` is not on its path
    return context


@pytest.fixture
def pool(context: ForkServerContext) -> Iterator[ProcessPoolExecutor]:
    """Twenty writers at once."""
    with ProcessPoolExecutor(WRITERS, mp_context=context) as pool:
        yield pool


def test_many_writers_publish_one_name(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    """Twenty processes that add equal and different jobs at once make dense versions, one a content, each whole."""
    url = (tmp_path / "store").as_uri()
    words = [[f"own-{n}", "shared", f"pair-{n // 2}"] for n in range(WRITERS)]
    told = [pair for pairs in pool.map(publish, [url] * WRITERS, words) for pair in pairs]
    versions = open_store(url).versions("digits")
    assert [version.version for version in versions] == list(range(WRITERS + 1 + WRITERS // 2))
    assert {version.digest for version in versions} == {make_job(word).digest for word, _ in told}
    assert all(versions[number].job == make_job(word) for word, number in told)


def test_one_writer_moves_an_alias(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    """Of twenty processes that expect the same version exactly one moves the alias; the others are told."""
    store = open_store((tmp_path / "store").as_uri())
    for n in range(WRITERS + 1):
        store.add("digits", make_job(str(n)), Origin())
    store.set_alias("digits", "best", 0)
    won = list(pool.map(move_alias, [(tmp_path / "store").as_uri()] * WRITERS, range(1, WRITERS + 1)))
    assert won.count(True) == 1
    assert store.aliases("digits")["best"] == won.index(True) + 1


def killed_at(context: ForkServerContext, url: str, step: int) -> bool:
    """Let a writer die at a step; whether there was such a step."""
    writer = context.Process(target=publish_and_die, args=(url, ["one", "two"], step))
    writer.start()
    writer.join()
    code = writer.exitcode
    writer.close()
    assert code in {0, -signal.SIGKILL}
    return code != 0


def test_a_writer_killed_anywhere_leaves_nothing_torn(context: ForkServerContext, tmp_path: Path) -> None:
    """SIGKILL before each single change of files: all that is there is whole, and the same work then ends well."""
    step = 0
    while killed_at(context, url := (tmp_path / str(step)).as_uri(), step):
        versions = open_store(url).versions("digits")
        expected = [(0, make_job("one")), (1, make_job("two"))]
        assert [(version.version, version.job) for version in versions] == expected[: len(versions)]
        assert publish(url, ["one", "two"]) == [("one", 0), ("two", 1)]
        assert open_store(url).aliases("digits") == {"latest": 1}
        step += 1
    assert step > 30
