"""Shows a run of ours in the graph of the user's flow that asked for it."""

from __future__ import annotations

from uuid import uuid4

from prefect import Task
from prefect.client.schemas.objects import TaskRunResult
from prefect.context import TaskRunContext
from prefect.states import Pending

from launch_jobs.client import connect


async def stand_in(name: str) -> str | None:
    """Id of a new task run, inside the current one, whose state will follow that of the run it is the parent of.

    Prefect's own `run_deployment` links runs in this way. None outside a flow's tasks.
    """
    current = TaskRunContext.get()
    if current is None or current.task_run.flow_run_id is None:
        return None
    async with connect() as client:
        made = await client.create_task_run(
            task=Task(_nothing, name=name),
            flow_run_id=current.task_run.flow_run_id,
            dynamic_key=str(uuid4()),
            state=Pending(),
            task_inputs={"__parents__": [TaskRunResult(id=current.task_run.id)]},
        )
    return str(made.id)


def _nothing() -> None:
    """What a task run that only stands for something does."""
