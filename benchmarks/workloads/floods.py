"""W8: a job floods; what is kept of its output, and how late is it shown?"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import get_client

from benchmarks.stage import Stage
from benchmarks.workloads.lines import kept, lags, shown_at
from benchmarks.workloads.peers import HERE, Ours, Stock
from launch_jobs.job import Overrides
from launch_jobs.runs import read_log
from launch_jobs.store.jobs import open_store
from launch_jobs.submission import Submission, submit

if TYPE_CHECKING:
    from benchmarks.watching import Watcher

_NUMBERED = re.compile(rb"^(\d+) (\d+\.\d+) ", re.MULTILINE)
_LEFT_OUT = re.compile(rb"^\xe2\x80\xa6 ([0-9,]+) lines left out", re.MULTILINE)
_LIMIT_S = 300.0
_LAST_WORDS_S = 30.0


async def flood_ours(stage: Stage, seen: Watcher, count: int, rate: int) -> dict[str, Any]:
    """Ours: somebody follows the run by `launch logs -f`, and the store has the whole at the end."""
    peer, store = Ours(stage, seen), open_store(stage.settings.store_url)
    await peer.make()
    digest = stage.settings.home / "flood-digest"
    version = peer.captured("flood", (sys.executable, "flood.py"))
    words = (str(count), str(rate), str(digest))
    with peer.served(1):
        await _warm(peer)
        used = stage.server_cpu_s()
        run = await submit(Submission(job=version.reference, queue=peer.queue, overrides=Overrides(args=words)), store)
        shown, left_out = await _followed(seen, run.id, str(run.id), stage)
        cpu = stage.server_cpu_s() - used
    whole = b"".join([chunk async for chunk in read_log(str(run.id), store)])
    return {
        "lines": count,
        **kept((int(hit[1]) for hit in _NUMBERED.finditer(whole)), count),
        "identical": hashlib.sha256(whole).hexdigest() == await asyncio.to_thread(digest.read_text),
        "shown_live": len(shown),
        "left_out_live": left_out,
        **lags(shown),
        "server_cpu_s": round(cpu, 1),
    }


async def _followed(seen: Watcher, run: UUID, name: str, stage: Stage) -> tuple[list[tuple[float, float]], int]:
    """When each line was written and seen while the run went on, and how many lines were said to be left out."""
    shown: list[tuple[float, float]] = []
    left_out = 0
    await seen.until([run], lambda states: "SCHEDULED" not in states, seconds=_LIMIT_S)
    async for chunk in read_log(name, open_store(stage.settings.store_url), follow=True):
        hits = [*_NUMBERED.finditer(chunk)]
        if len(hits) > 1:  # the whole, from the store: the run is over
            break
        shown += [(float(hit[2]), time.time()) for hit in hits]
        left_out += sum(int(hit[1].replace(b",", b"")) for hit in _LEFT_OUT.finditer(chunk))
    await seen.ended([run], seconds=_LIMIT_S)
    return shown, left_out


async def flood_stock(stage: Stage, seen: Watcher, count: int, rate: int) -> dict[str, Any]:
    """The stock process worker: a flow prints the same lines, which Prefect's log keeps."""
    peer = Stock(stage, seen)
    await peer.make()
    deployment = await peer.deployed("flood")
    with peer.served(1):
        await _warm(peer)
        used = stage.server_cpu_s()
        words = [sys.executable, str(HERE / "flood.py"), str(count), str(rate), str(stage.settings.home / "digest")]
        async with get_client() as client:
            run = (await client.create_flow_run_from_deployment(deployment, parameters={"words": words})).id
        counts = await _counted(seen, run, count)
        cpu = stage.server_cpu_s() - used
    messages = [message.encode() for message in await seen.messages(run)]
    lines = [hit for message in messages if (hit := _NUMBERED.match(message))]
    return {
        "lines": count,
        **kept((int(hit[1]) for hit in lines), count),
        "identical": None,
        "shown_live": len(lines),
        "left_out_live": None,
        **lags(shown_at([float(hit[2]) for hit in lines], counts)),
        "server_cpu_s": round(cpu, 1),
    }


async def _counted(seen: Watcher, run: UUID, count: int) -> list[tuple[float, int]]:
    """How many log lines the server had when, until the run is over and nothing more comes."""
    counts: list[tuple[float, int]] = [(time.time(), 0)]
    deadline, last = time.time() + _LIMIT_S, time.time()
    while time.time() < deadline:
        await asyncio.sleep(0.5)
        counts.append((time.time(), await seen.log_count(run)))
        if counts[-1][1] != counts[-2][1]:
            last = time.time()
        is_over = await seen.ended([run], seconds=0) is not None
        if is_over and (counts[-1][1] >= count or time.time() > last + _LAST_WORDS_S):
            break
    return counts


async def _warm(peer: Ours | Stock) -> None:
    """One job before, so that starting is in nobody's figures."""
    job = await peer.submit([str(Path(peer.stage.settings.home) / "warm"), "0", "0"])
    while not await peer.ended([job]):  # noqa: ASYNC110 - another process ends it
        await asyncio.sleep(0.2)
