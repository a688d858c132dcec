"""The documents of the store, and what they refer to. Data only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, RootModel

from launch_jobs.job import Frozen, Job, JobVersion, Origin
from launch_jobs.names import Digest

LATEST = "latest"
"""The alias that follows the version captured last."""


class VersionDocument(Frozen):
    """One version of a job, with its job's digest."""

    digest: Digest
    version: JobVersion


class Tombstone(Frozen):
    """Stands where a deleted version was, so that its number is never given again."""

    name: str
    number: int = Field(ge=0)
    deleted: str = Field(description="ISO 8601, UTC.")


class VersionSlot(RootModel[VersionDocument | Tombstone]):
    """What lies under a version's key."""


class AliasDocument(Frozen):
    """Which version an alias means."""

    version: int = Field(ge=0)


class LogDocument(Frozen):
    """Which content is an attempt's log."""

    digest: Digest
    encoding: Literal["gzip"] | None = Field(default=None, description="How the content is packed; None: it is not.")


class MarkerDocument(Frozen):
    """Says that this storage is a job store."""

    kind: Literal["launch-jobs-store"] = "launch-jobs-store"


def blobs_of(origin: Origin, job: Job) -> tuple[Digest, ...]:
    """The blobs that a version cannot be had without."""
    source = tuple(digest for digest in (origin.bundle, origin.patch, origin.archive) if digest)
    datasets = tuple(one.blob for one in origin.datasets.values() if one.blob)
    return (*source, *datasets, *job.environment.wheels.values())
