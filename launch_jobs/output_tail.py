"""A run's own output, read on while it comes: from the server, and at the end from the store, which has the whole."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterTimestamp
from prefect.client.schemas.sorting import LogSort

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, Log
    from prefect.types import DateTime

    from launch_jobs.run import Outcome
    from launch_jobs.store.jobs import JobStore

OUTPUT_LOGGER = "output"
"""Last part of the logger name under which a program's own output reaches Prefect's logs."""

GAP_LOGGER = "output-left-out"
"""The same for what stands for lines that were left out there."""

_LEFT_OUT = re.compile(r"… ([0-9,]+) lines left out")
"""How `live_log.left_out_text` begins."""

_PAGE = 200
_CHUNK = 1 << 20


class OutputTail:
    """One run's own output, read on from where the last look ended: each line once."""

    def __init__(self, client: PrefectClient, store: JobStore) -> None:
        self._client = client
        self._store = store
        self._lines = 0
        self._newest: DateTime | None = None
        self._at_newest: set[UUID] = set()

    async def more(self, run: FlowRun) -> AsyncIterator[bytes]:
        """What is new: of a run that goes on from the server, of one that is over from the store, which has the whole.

        Lines reach the server seconds later than the end of their run, so the rest of it is never read there.
        """
        if run.state is not None and run.state.is_final():
            outcome = await asyncio.to_thread(self._store.outcome, str(run.id))
            with tempfile.TemporaryDirectory(prefix="launch-log-") as folder:
                paths = await self._stored_logs(outcome, Path(folder))
                async for chunk in _after_lines(paths, self._lines):
                    yield chunk
            if paths:
                return
        async for line in self._server_lines(run.id):
            yield line

    async def _server_lines(self, run: UUID) -> AsyncIterator[bytes]:
        """Lines since the newest one seen; those of its very moment are told apart by their ids."""
        offset, since = 0, LogFilterTimestamp(after_=self._newest) if self._newest else None
        while True:
            page = await self._client.read_logs(
                log_filter=LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]), timestamp=since),
                limit=_PAGE,
                offset=offset,
                sort=LogSort.TIMESTAMP_ASC,
            )
            for entry in page:
                lines = _lines_of(entry)
                if lines and self._is_new(entry):
                    self._lines += lines
                    yield entry.message.encode() + b"\n"
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def _is_new(self, entry: Log) -> bool:
        is_repeated = self._newest is not None and entry.timestamp < self._newest  # a late entry moved the pages
        if is_repeated or entry.id in self._at_newest:
            return False
        if entry.timestamp != self._newest:
            self._newest, self._at_newest = entry.timestamp, set()
        self._at_newest.add(entry.id)
        # An attempt's lines all have times of their own: what has the time of another was sent twice.
        return len(self._at_newest) == 1

    async def _stored_logs(self, outcome: Outcome | None, folder: Path) -> list[Path]:
        """The log of the run's last attempt, or, once lines were shown, those of all in turn; none if none is kept."""
        paths: list[Path] = []
        if outcome is None:
            return paths
        for attempt in range(1 if self._lines else outcome.attempt, outcome.attempt + 1):
            path = folder / str(attempt)
            if await asyncio.to_thread(self._store.get_log, outcome.run, attempt, path):
                paths.append(path)
        return paths


def _lines_of(entry: Log) -> int:
    """How many of the program's lines a log entry is or stands for."""
    if entry.name.endswith(f".{OUTPUT_LOGGER}"):
        return 1
    found = _LEFT_OUT.match(entry.message) if entry.name.endswith(f".{GAP_LOGGER}") else None
    return int(found[1].replace(",", "")) if found else 0


async def _after_lines(paths: list[Path], lines: int) -> AsyncIterator[bytes]:
    """The content of files in turn, without so many lines at the beginning; never whole in memory."""
    for path in paths:
        with path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                rest, lines = _cut(chunk, lines)
                if rest:
                    yield rest


def _cut(chunk: bytes, lines: int) -> tuple[bytes, int]:
    """A chunk without its first so many lines, and how many of them are still to come."""
    if not lines:
        return chunk, 0
    there = chunk.count(b"\n")
    if there < lines:
        return b"", lines - there
    return chunk.split(b"\n", lines)[-1], 0
