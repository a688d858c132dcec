"""What the runs that are not over need: nothing of it is pruned."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

from launch_jobs.build.venv import venv_digest
from launch_jobs.client import connect
from launch_jobs.datasets import cached_name
from launch_jobs.errors import BadInput, LaunchError
from launch_jobs.names import JobRef
from launch_jobs.run import OutputsUrl
from launch_jobs.runs import every_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.job import Job, JsonObject
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.store.jobs import JobStore


@dataclass(frozen=True, slots=True)
class Known:
    """A run on the server.

    Attributes:
        id: its id.
        name: its name.
        over: when it ended; None: it has not.
        job: the digest of what it runs, if it names one.
        reference: `name@sha256:…`, or what it was given.
        reads: ids of runs whose outputs it is given.
    """

    id: str
    name: str
    over: datetime | None
    job: str | None
    reference: str
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """All runs on the server, and what follows from those that are not over.

    Attributes:
        runs: by id.
    """

    runs: Mapping[str, Known] = field(default_factory=dict[str, Known])

    @property
    def open(self) -> list[Known]:
        """Runs that are queued or active."""
        return [run for run in self.runs.values() if run.over is None]

    @property
    def jobs(self) -> dict[str, str]:
        """Digest of each job that such a run needs → the run's name."""
        return {run.job: run.name for run in self.open if run.job}

    @property
    def read(self) -> dict[str, str]:
        """Id of each run whose outputs such a run is given → its own name."""
        return {read: run.name for run in self.open for read in run.reads}

    def last_use(self, job: str) -> datetime | None:
        """When a run of this job ended last."""
        return max((run.over for run in self.runs.values() if run.over and run.job == job), default=None)

    def venvs(self, store: JobStore, settings: LaunchSettings) -> dict[str, str] | None:
        """Name of each virtual environment that such a run needs → the run's name; None if that cannot be told."""
        jobs = self._jobs(store)
        if jobs is None:
            return None
        found: dict[str, str] = {}
        for name, job in jobs:
            with suppress(BadInput):  # not Python's: it needs none
                digest = venv_digest(job.environment, settings.package_index)
                found[digest.removeprefix("sha256:")[:32]] = name
        return found

    def datasets(self, store: JobStore) -> dict[str, str] | None:
        """Name in a cache of each dataset that such a run's job declares → the run; None if that cannot be told."""
        jobs = self._jobs(store)
        if jobs is None:
            return None
        return {cached_name(one.digest): name for name, job in jobs for one in job.datasets if one.digest}

    def _jobs(self, store: JobStore) -> list[tuple[str, Job]] | None:
        """The name of each such run (several may have one name), and its job; None if one cannot be read."""
        try:
            return [(run.name, store.resolve(JobRef.parse(run.reference)).job) for run in self.open]
        except LaunchError:
            return None


async def read_needs() -> Needs:
    """Ask the server for all runs.

    Raises:
        Unavailable: it does not answer.
    """
    async with connect() as client:
        runs = [known(run) async for run in every_run(client)]
    return Needs({run.id: run for run in runs})


def known(run: FlowRun) -> Known:
    """What counts of a flow run. Pure."""
    reference = str(run.labels.get("launch.job") or run.parameters.get("job") or "")
    final = run.state is not None and run.state.is_final()
    ended = run.end_time or (run.state.timestamp if run.state else None)
    return Known(
        id=str(run.id),
        name=run.name,
        over=ended if final else None,
        job=reference.partition("@")[2] or None,
        reference=reference,
        reads=_reads(cast("JsonObject", run.parameters)),
    )


def _reads(parameters: JsonObject) -> frozenset[str]:
    datasets = parameters.get("datasets")
    found: set[str] = set()
    for url in datasets.values() if isinstance(datasets, dict) else ():
        with suppress(BadInput):
            found.add(OutputsUrl.parse(str(url)).run)
    return frozenset(found)
