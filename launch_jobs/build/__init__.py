"""From a job to something that can run: a container image, or a virtual environment on this host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import Field

from launch_jobs.job import Frozen
from launch_jobs.names import Digest

Log = Callable[[str], None]
"""Takes one line of build output."""


class BaseImage(Frozen):
    """A base image, resolved to what it is now."""

    reference: str = Field(description="As the Dockerfile names it after FROM.")
    identity: Digest = Field(description="Registry digest, else the engine's image id.")
    platform: str | None = Field(default=None, description="What it runs on, e.g. `linux/amd64`; None: unknown.")


class BuildPlan(Frozen):
    """What will be built, decided purely from its inputs."""

    digest: Digest = Field(description="Of all inputs of the job image; its tag.")
    environment_digest: Digest = Field(description="Of all inputs of the environment image; its tag.")
    environment_tag: str = Field(description="`launch-jobs/env:<hex>`, or empty when there is only one image.")
    tag: str = Field(description="`launch-jobs/job:<hex>`.")
    environment_dockerfile: str = Field(description="Empty when there is only one image.")
    dockerfile: str
    context: tuple[str, ...] = Field(description="Files of the build context besides the source tree.")
    files: dict[str, str] = Field(default_factory=dict, description="Content of those files, by path.")
    carried: dict[str, Digest] = Field(default_factory=dict, description="Blobs that are files of it too, by path.")
    wheels: Path | None = Field(default=None, exclude=True, description="Folder that has them while it is built.")
    notes: tuple[str, ...] = Field(default=(), description="What is other than it was captured, in plain words.")
    platform: str
    base: BaseImage
    workdir: str = Field(description="Absolute working directory of the program; empty: the image's own.")
    root: str = Field(description="Absolute path of the source root in the image; empty: unknown (own Dockerfile).")

    @property
    def context_files(self) -> dict[str, str | Path]:
        """The context's files by path: a text, or the file that has the content."""
        found = {path: self.wheels / Path(path).name for path in self.carried} if self.wheels else {}
        return {**self.files, **found}


class Builder(Protocol):
    """Builds images on one engine or cluster."""

    async def resolve_base(self, reference: str) -> BaseImage:
        """Find (pulling if need be) a base image and say what it is.

        Raises:
            BadInput: there is no such image, here or in its registry.
            Unavailable: the engine does not answer.
        """
        ...

    async def find(self, plan: BuildPlan, log: Log) -> str | None:
        """What to run for a plan whose image is there already: its id, or its reference in a registry; else None.

        Raises:
            Unavailable: the engine, or the registry it should be in, does not answer.
        """
        ...

    async def build(self, plan: BuildPlan, source: Path, log: Log) -> str:
        """Build the plan's images, those that are there excepted; return what `find` says from then on.

        Raises:
            BuildError: a step failed; the message holds its last lines.
            Unavailable: the engine does not answer.
        """
        ...
