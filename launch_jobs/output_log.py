"""A program's own output as log lines of its run on the Prefect server."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from weakref import WeakKeyDictionary

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterTimestamp
from prefect.client.schemas.sorting import LogSort
from prefect.logging.loggers import PrefectLogAdapter
from prefect.runtime import flow_run, task_run
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED

from launch_jobs.client import translated_errors
from launch_jobs.context import is_on_queue
from launch_jobs.live_log import LAST_LINES, LiveLine
from launch_jobs.outbox import Outbox
from launch_jobs.output_tail import GAP_LOGGER, OUTPUT_LOGGER

Entry = dict[str, str | int | None]
_MARKED = re.compile(rf"\.(\d+\.\d+)\.(?:{OUTPUT_LOGGER}|{GAP_LOGGER})$")
_PAGE, _MARKED_WITHIN = 200, 2000
_LEAST_SIZE = 256
"""Bytes of an entry in a call, beside its text."""

_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox[Entry]] = WeakKeyDictionary()


class RunOutput:
    """Where the output of the current task's attempt is shown: in the log of its run, and in front of who called it."""

    def __init__(self) -> None:
        self._logger = get_run_logger()
        self._run, task = UUID(flow_run.get_id()), task_run.get_id()
        self._task = str(task) if task else None
        self._is_alone = not is_on_queue()
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        """The last lines that were sent."""

    async def send(self, lines: Sequence[LiveLine]) -> None:
        """Write lines into the run's log.

        Raises:
            Unavailable: the server does not answer, or is overloaded.
        """
        if PREFECT_LOGGING_TO_API_ENABLED.value():
            await _outbox().send([self._entry(line) for line in lines])
        self.last += [line.text for line in lines]
        if self._is_alone:
            for line in lines:
                self._show(line.text)

    async def has(self, since: datetime) -> bool:
        """Whether any line of this moment or a later one is in the run's log."""
        chosen = LogFilter(
            flow_run_id=LogFilterFlowRunId(any_=[self._run]),
            timestamp=LogFilterTimestamp.model_validate({"after_": since}),
        )
        async with translated_errors(), get_client() as client:
            found = await client.read_logs(log_filter=chosen, limit=200, sort=LogSort.TIMESTAMP_ASC)
        return any(entry.name.endswith((f".{OUTPUT_LOGGER}", f".{GAP_LOGGER}")) for entry in found)

    async def last_mark(self) -> str | None:
        """The mark of the last lines in the run's log; it is kept in their logger's name."""
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self._run]))
        async with translated_errors(), get_client() as client:
            for offset in range(0, _MARKED_WITHIN, _PAGE):
                found = await client.read_logs(
                    log_filter=chosen, limit=_PAGE, offset=offset, sort=LogSort.TIMESTAMP_DESC
                )
                mark = next((match[1] for entry in found if (match := _MARKED.search(entry.name))), None)
                if mark or len(found) < _PAGE:
                    return mark
        return None

    def _entry(self, line: LiveLine) -> Entry:
        logger = GAP_LOGGER if line.left_out else OUTPUT_LOGGER
        return {
            "name": f"prefect.task_runs.{line.mark}.{logger}" if line.mark else f"prefect.task_runs.{logger}",
            "level": logging.WARNING if line.left_out else logging.INFO,
            "message": line.text,
            "timestamp": line.moment.isoformat(),
            "flow_run_id": str(self._run),
            "task_run_id": self._task,
        }

    def _show(self, text: str) -> None:
        logger = self._logger
        child = logger.getChild(OUTPUT_LOGGER) if isinstance(logger, PrefectLogAdapter) else logger
        child.info("%s", text, extra={"send_to_api": False})


def _outbox() -> Outbox[Entry]:
    """That of all runs of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _outboxes:
        _outboxes[loop] = Outbox(_create_logs, lambda entry: _LEAST_SIZE + len(str(entry["message"])))
    return _outboxes[loop]


async def _create_logs(entries: Sequence[Entry]) -> None:
    async with translated_errors(), get_client() as client:
        await client.create_logs([*entries])
