"""Shelves in the job store: what runs left (with their records on the server), and content that no job refers to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.exceptions import ObjectNotFound

from launch_jobs.client import connect, wait_for
from launch_jobs.errors import BadInput
from launch_jobs.retention import Item, Kind
from launch_jobs.run import OutputsUrl

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

    from launch_jobs.retention.needs import Needs
    from launch_jobs.store.jobs import JobStore

_CAPTURE_TAKES = timedelta(days=1)
"""No capture takes longer: what is younger may be referred to soon."""


class Left:
    """What runs left in the store, and who needs it.

    Args:
        store: has it.
        needs: the runs on the server.
        strangers: also let go what this server does not know the run of; another one with this store may.
    """

    def __init__(self, store: JobStore, needs: Needs, *, strangers: bool) -> None:
        self.store, self.needs, self._strangers = store, needs, strangers

    def needed(self, run: str) -> str:
        """Who needs what a run left; empty: nobody."""
        known = self.needs.runs.get(run)
        if known is None:
            return "" if self._strangers else "another server, perhaps"
        if known.over is None:
            return "the run itself"
        reader = self.needs.read.get(run)
        declared = self._declared.get(run)
        if reader or declared:
            return f"run {reader}, whose dataset it is" if reader else f"{declared}, whose dataset it is"
        return ""

    @cached_property
    def _declared(self) -> dict[str, str]:
        """Id of each run whose outputs a job declares as its dataset → the job."""
        found: dict[str, str] = {}
        for name in self.store.names():
            for version in self.store.versions(name):
                for one in version.job.datasets:
                    with suppress(BadInput):  # another kind of URL
                        found[OutputsUrl.parse(one.url).run] = version.label
        return found

    def name(self, run: str) -> str:
        """A run, for people."""
        known = self.needs.runs.get(run)
        return f"run {known.name}" if known else f"run {run} (not on this server)"


class Runs:
    """Runs that are over: record, outcomes, outputs and logs of a run go together."""

    kind = Kind.RUNS

    def __init__(self, left: Left) -> None:
        self._left, self._store, self._needs = left, left.store, left.needs

    def items(self) -> list[Item]:
        """Every run that is over, and every one that is in the store only."""
        contents = self._store.contents()
        sizes: Counter[str] = Counter()
        used = {run.id: run.over for run in self._needs.runs.values() if run.over}
        for content in contents:
            sizes[content.run] += content.size
            if content.run not in self._needs.runs:
                used[content.run] = max(content.modified, used.get(content.run, content.modified))
        return [
            Item(
                kind=self.kind,
                key=run,
                name=self._left.name(run),
                bytes=sizes[run],
                used=moment,
                needed=self._left.needed(run),
            )
            for run, moment in used.items()
        ]

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


class Parts:
    """Logs, or outputs, of runs whose record, metrics and exit code stay."""

    def __init__(self, kind: Kind, left: Left) -> None:
        self.kind, self._left = kind, left
        self._part = {Kind.LOGS: "log", Kind.OUTPUTS: "outputs"}[kind]

    def items(self) -> list[Item]:
        """One an attempt."""
        return [
            Item(
                kind=self.kind,
                key=f"{content.run}/{content.attempt}",
                name=f"{content.part} of {self._left.name(content.run)}, attempt {content.attempt}",
                bytes=content.size,
                used=content.modified,
                needed=self._left.needed(content.run),
            )
            for content in self._left.store.contents()
            if content.part == self._part
        ]

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove each; what is left says that it was pruned."""
        store = self._left.store
        for item in items:
            run, _, attempt = item.key.partition("/")
            (store.drop_log if self.kind is Kind.LOGS else store.drop_outputs)(run, int(attempt))
            yield item


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
