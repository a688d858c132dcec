"""The same program as an ordinary Prefect flow, for a stock process worker. As a script: submit a run of it."""

from __future__ import annotations

import os
import subprocess
import sys

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run


@flow(name="fault-control", log_prints=True)
def work(program: str, words: list[str]) -> None:
    """Run the witness program, show its output, and fail as it fails."""
    mine = {"LAUNCH_RUN_ID": str(flow_run.get_id()), "LAUNCH_ATTEMPT": "1"}
    with subprocess.Popen(["sh", program, *words], stdout=subprocess.PIPE, text=True, env=os.environ | mine) as process:
        for line in process.stdout or ():
            print(line.rstrip("\n"))
    if process.returncode:
        raise RuntimeError(f"Exited with code {process.returncode}")


async def submit(deployment: str, key: str, program: str, words: list[str]) -> str:
    """As Prefect's own client submits: with the scheduled time of this machine's clock."""
    async with get_client() as client:
        entry = await client.read_deployment_by_name(f"fault-control/{deployment}")
        given = {"program": program, "words": words}
        run = await client.create_flow_run_from_deployment(entry.id, parameters=given, idempotency_key=key)
        return str(run.id)


if __name__ == "__main__":
    import asyncio

    print(asyncio.run(submit(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])))
