"""What dead agents and long lists leave: swept, pruned, read to their ends."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from commands import typed
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkPoolFilterName
from walking import Road

from launch_jobs.client import connect
from launch_jobs.retention.home import Sources
from launch_jobs.retention.needs import Needs
from launch_jobs.workers import admission
from launch_jobs.workers.leftovers import ADOPTION, sweep_adoptions

pytestmark = pytest.mark.anyio


async def test_names_of_takeovers_go_once_their_run_is_over(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits keeps its own; and of three runs none is missed where a page has two."""
    queue, job = await road.queue("process"), road.job("true")
    runs = [await road.submit(job, queue) for _ in range(3)]
    names = [f"{ADOPTION}{run}-{uuid4()}-0" for run in (str(uuid4()), *runs[:2])]
    other = f"{ADOPTION}{uuid4().hex[:8]}"
    said = await typed(road, "cancel", *runs[1:2])
    assert said.code == 0, said.err
    monkeypatch.setattr(admission, "_PAGE", 2)
    async with connect() as client:
        for name in (*names, other):
            await client.create_variable(VariableCreate(name=name, value="Claimed by agent x"))
        await sweep_adoptions(client)
        left = [name for name in (*names, other) if await client.read_variable_by_name(name)]
        for name in left:
            await client.delete_variable_by_name(name)
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[queue]))
        found = await admission.read_all(client, FlowRunFilter(), pool)
    assert left == [names[1], other]
    assert {str(run.id) for run in found} == set(runs)


async def test_several_runs_are_put_back_by_one_command(road: Road) -> None:
    """Those that can be are; for one that cannot the command ends with its code, and says which."""
    queue, job = await road.queue("process"), road.job("true")
    runs = [await road.submit(job, queue) for _ in range(3)]
    assert (await typed(road, "cancel", *runs[:2])).code == 0
    said = await typed(road, "retry", *runs)
    assert said.code == 3
    assert "is not over" in said.err
    assert said.out.count("scheduled") == 2


def test_what_is_half_removed_is_pruned(tmp_path: Path) -> None:
    """Of a run that nobody knows any more; what may be in work stays."""
    old, new = tmp_path / "runs" / ".gone.1", tmp_path / "sources" / ".checkout-1"
    for folder in (old, new):
        (folder / "in").mkdir(parents=True)
    yesterday = time.time() - 86_400
    os.utime(old, (yesterday, yesterday))
    shelf = Sources(tmp_path, Needs())
    assert {item.key: bool(item.needed) for item in shelf.items()} == {
        "runs/.gone.1": False,
        "sources/.checkout-1": True,
    }
    assert [item.key for item in shelf.remove(shelf.items()[:1])] == ["runs/.gone.1"]
    assert not old.exists()
    assert list((tmp_path / "runs").iterdir()) == []
