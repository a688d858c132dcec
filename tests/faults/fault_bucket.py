"""A job store in S3 (moto's server) for one round, with a proxy between it and the agents; and what breaks there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import boto3
from fault_kinds import WAIT_S
from fault_proxy import FaultProxy, Rule, proxy_to
from fault_round import Round

from launch_jobs.store.jobs import open_store

_SERVER = Path(__file__).parents[1] / "infrastructure" / "s3_server.py"
_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_SLOW_DOWN = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>"
_INTERNAL = "<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>"


async def _bucket(round: Round) -> FaultProxy:
    """Have the round's job, outcomes, logs and outputs in a bucket; agents reach it through the proxy."""
    server = await asyncio.to_thread(round.stack.enter_context, _s3_server(round.folder / "s3-address"))
    proxy = await round.stack.enter_async_context(proxy_to(server.removeprefix("http://")))
    os.environ.update(_ACCOUNT | {"AWS_ENDPOINT_URL_S3": server})  # the bench's own way; gone with the bench
    name = f"faults-{uuid.uuid4().hex[:8]}"
    boto3.Session().client("s3").create_bucket(Bucket=name)  # pyright: ignore[reportUnknownMemberType] - stubs of other services
    url = f"s3://{name}/store"
    store = await asyncio.to_thread(open_store, url)
    await round.use_store(store)
    round.more |= {**_ACCOUNT, "AWS_ENDPOINT_URL_S3": f"http://{proxy.address}", "LAUNCH_JOBS_STORE": url}
    return proxy


@contextmanager
def _s3_server(address: Path) -> Generator[str]:
    quiet = subprocess.DEVNULL
    command = [sys.executable, str(_SERVER), str(address)]
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            while not address.exists():
                if process.poll() is not None:
                    raise RuntimeError("moto's server did not start")
                time.sleep(0.05)
            yield address.read_text()
        finally:
            process.kill()


async def _broken(round: Round, runs: int, rules: list[Rule]) -> None:
    proxy = await _bucket(round)
    proxy.rules += rules
    round.agent()
    await round.submit(runs, seconds=0.5)
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    await round.bench.until(lambda: all(rule.times <= 0 for rule in rules), 20)
    left = sum(rule.times for rule in rules)
    round.notes += [f"{left} requests were left unbroken"] if left else []
    proxy.come_back()


async def bucket_errors(round: Round, runs: int) -> None:
    """F43: the bucket says 503 SlowDown and 500, resets connections, and is slow."""
    random = round.bench.random
    rules = [
        Rule("PUT", "status", random.randint(2, 6), status=503, body=_SLOW_DOWN),
        Rule("(GET|HEAD)", "status", random.randint(2, 6), status=500, body=_INTERNAL),
        Rule("(PUT|GET|HEAD)", "refuse", random.randint(1, 4)),
        Rule(".", "delay", 20, seconds=0.3),
    ]
    await _broken(round, runs, rules)


async def bucket_answers_lost(round: Round, runs: int) -> None:
    """F43: the bucket stores what it is sent, and its answer is lost."""
    await _broken(round, runs, [Rule("PUT", "drop", round.bench.random.randint(2, 8))])


async def bucket_truncates(round: Round, runs: int) -> None:
    """F43: answers of the bucket end too early."""
    await _broken(round, runs, [Rule("GET", "truncate", round.bench.random.randint(1, 5))])


async def bucket_away(how: str, round: Round, runs: int) -> None:
    """F43: the bucket is away while programs end."""
    proxy = await _bucket(round)
    round.agent()
    await round.submit(runs, seconds=4)
    round.note_missed(await round.bench.until(lambda: len(round.started()) >= runs, WAIT_S), "not all started")
    proxy.go_down("silent" if how == "silent" else "refuse")
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    await asyncio.sleep(round.bench.outage_s)
    proxy.come_back()
