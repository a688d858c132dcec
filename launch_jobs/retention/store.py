"""Shelves in the job store: what runs left (with their records on the server), and content that no job refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.exceptions import ObjectNotFound

from launch_jobs.client import connect, wait_for
from launch_jobs.retention import Item, Kind

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

    from launch_jobs.retention.needs import Needs
    from launch_jobs.store.jobs import JobStore

_CAPTURE_TAKES = timedelta(days=1)
"""No capture takes longer: what is younger may be referred to soon."""


class Runs:
    """Runs that are over: record, outcomes, outputs and logs of a run go together.

    Args:
        store: what they left.
        needs: the runs on the server.
        strangers: also take runs that this server does not know; another one with this store may.
    """

    kind = Kind.RUNS

    def __init__(self, store: JobStore, needs: Needs, *, strangers: bool) -> None:
        self._store, self._needs, self._strangers = store, needs, strangers

    def items(self) -> list[Item]:
        """Every run that is over, and every one that is in the store only."""
        usage = self._store.usage()
        read = self._needs.read
        known = [
            Item(
                kind=self.kind,
                key=run.id,
                name=f"run {run.name}",
                bytes=usage[run.id].size if run.id in usage else 0,
                used=run.over,
                needed=f"run {read[run.id]}, whose dataset it is" if run.id in read else "",
            )
            for run in self._needs.runs.values()
            if run.over
        ]
        strange = [
            Item(
                kind=self.kind,
                key=run,
                name=f"run {run} (not on this server)",
                bytes=left.size,
                used=left.modified,
                needed="" if self._strangers else "another server, perhaps",
            )
            for run, left in usage.items()
            if run not in self._needs.runs
        ]
        return [*known, *strange]

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove each from the server and then from the store: a kill in between leaves what the store alone has."""
        for item in items:
            if item.key not in self._needs.runs or wait_for(_forget(item.key)):
                self._store.delete_run(item.key)
                yield item


async def _forget(run: str) -> bool:
    """Delete a run's record on the server; False if it is not over any more."""
    async with connect() as client:
        with suppress(ObjectNotFound):
            found = await client.read_flow_run(UUID(run))
            if found.state is None or not found.state.is_final():
                return False
            await _forget_artifacts(client, found.id)
            await client.delete_flow_run(found.id)
    return True


async def _forget_artifacts(client: PrefectClient, run: UUID) -> None:
    """A run's artifacts stay when it is deleted."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    for artifact in await client.read_artifacts(artifact_filter=of_run):
        with suppress(ObjectNotFound):
            await client.delete_artifact(artifact.id)


class Blobs:
    """Content that no job version refers to: of deleted jobs, and of captures that were killed."""

    kind = Kind.BLOBS

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def items(self) -> list[Item]:
        """What nobody refers to for a day."""
        found = self._store.unreferenced(_CAPTURE_TAKES)
        return [
            Item(kind=self.kind, key=entry.key, name=entry.key, bytes=entry.size, used=entry.modified)
            for entry in found
        ]

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove them in one sweep, which looks again who refers to what. They are the oldest of those there are."""
        if not items:
            return
        age = datetime.now(UTC) - max(item.used for item in items) - timedelta(milliseconds=1)
        gone = {entry.key for entry in self._store.sweep_blobs(max(_CAPTURE_TAKES, age))}
        yield from (item for item in items if item.key in gone)
