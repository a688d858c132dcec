"""What the Prefect server tells of one run: its states and its logs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect import State
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort

from launch_jobs.client import connect
from launch_jobs.output_tail import OUTPUT_LOGGER

_PAGE = 200


async def states_of(run: UUID) -> list[State[Any]]:  # Prefect's untyped states
    """A run's states, oldest first."""
    async with connect() as client:
        return sorted(await client.read_flow_run_states(run), key=lambda state: state.timestamp)


async def logs_of(run: UUID) -> list[Log]:
    """All that Prefect logged of a run, in order."""
    found: list[Log] = []
    async with connect() as client:
        mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
        while True:
            page = await client.read_logs(log_filter=mine, limit=_PAGE, offset=len(found), sort=LogSort.TIMESTAMP_ASC)
            found += page
            if len(page) < _PAGE:
                return found


async def shown(run: UUID) -> tuple[str, ...]:
    """The output as Prefect shows it; what has the time of another line was sent twice, and is read once."""
    found: dict[float, str] = {}
    for entry in await logs_of(run):
        if entry.name.endswith(f".{OUTPUT_LOGGER}"):
            found.setdefault(entry.timestamp.timestamp(), entry.message)
    return tuple(found.values())
