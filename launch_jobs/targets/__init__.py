"""Where runs are executed: one protocol, one target a module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from launch_jobs.config_files.rendering import ChangedFile
from launch_jobs.job import Frozen, JsonObject
from launch_jobs.run import Place, Reason, Stopped
from launch_jobs.targets.secret_files import GivenSecret


class RunSpec(Frozen):
    """Everything a target needs to start one attempt; rendered purely, so that it can be printed and compared."""

    name: str = Field(description="Deterministic name of the attempt (`names.attempt_name`).")
    image: str = Field(
        description="Docker: image reference or id. Process: folder of the virtual environment, or empty."
    )
    command: tuple[str, ...] = Field(default=(), description="Argument vector; empty: the image's own.")
    directory: str | None = Field(default=None, description="Absolute working directory; None: the image's own.")
    source: str | None = Field(default=None, description="Process only: folder with the checked-out source tree.")
    env: dict[str, str] = Field(
        default_factory=dict, description="The program's environment, complete but for the image's own."
    )
    labels: dict[str, str] = Field(default_factory=dict)
    output_dir: str = Field(description="Absolute path, named to the program by LAUNCH_OUTPUT_DIR.")
    collect: tuple[str, ...] | None = Field(
        default=(),
        description="Paths relative to `root` that are outputs too; None: every file there with a modification time "
        "since the start, byte code aside.",
    )
    root: str | None = Field(default=None, description="Absolute path of the source root at run time.")
    datasets: dict[str, str] = Field(
        default_factory=dict,
        description="Absolute path at run time → file or folder on the agent that is put there, its files read-only, "
        "before the program starts; outside `root` its folders, too. Whoever adopts a started attempt needs none.",
    )
    dataset_files: tuple[str, ...] = Field(
        default=(), description="Kubernetes only. Those paths of `datasets` that are single files."
    )
    dataset_limit_bytes: int | None = Field(
        default=None, description="Kubernetes only. Most bytes of `datasets` that are brought to a pod."
    )
    mounts: dict[str, str] = Field(
        default_factory=dict,
        description="Docker only. Absolute path at run time → file or folder of the agent's own cache of datasets that "
        "is there, read-only. Never anything that a submitter names.",
    )
    host_mounts: tuple[str, ...] = Field(
        default=(), description="Docker only. The operator's mounts, as `SOURCE:TARGET` or `SOURCE:TARGET:rw`."
    )
    secrets: tuple[GivenSecret, ...] = Field(
        default=(),
        description="Files that only the program may read; whoever adopts a started attempt needs no values.",
    )
    files: tuple[ChangedFile, ...] = Field(
        default=(),
        description="Config files put over those in the source tree (of an image that does not say where that is: in "
        "its working directory), before the program starts.",
    )
    user: str | None = Field(default=None, description="uid[:gid]; None: the image's own.")
    cpus: float | None = None
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    gpus: int = 0
    devices: tuple[str, ...] = Field(default=(), description="Exactly these, as the agent names them; empty: any.")
    network: str | None = None
    stop_grace_s: float = Field(default=10.0, description="Seconds between the polite and the hard stop.")
    output_limit_bytes: int | None = Field(default=None, description="Most bytes that `collect` brings home.")
    manifest: JsonObject | None = Field(
        default=None,
        description="Kubernetes only: the queue's workload object (its namespace included), before image, command, "
        "variables and what else this spec says are put into it (`kubernetes.manifest.workload`).",
    )


@dataclass(frozen=True, slots=True)
class AttemptStatus:
    """What the infrastructure says of an attempt, now.

    Attributes:
        state: created (never started), running, or exited.
        exit_code: when exited: as a shell would say it (128+n for signal n); None if it was lost.
        out_of_memory: the kernel ended it for memory.
        started: ISO 8601 UTC, None before the start.
        ended: ISO 8601 UTC, None before the end.
        error: what the engine says of a start that failed, or that is not yet possible.
        peak_memory_bytes: when exited; see `Outcome`. None: nobody measured.
        reason: when exited: why, where the infrastructure knows it better than the exit code.
        created: ISO 8601 UTC, where it may take long until a start.
        wants_datasets: though it has started, a part of it waits for its datasets, or may yet.
    """

    state: Literal["created", "running", "exited"]
    exit_code: int | None = None
    out_of_memory: bool = False
    started: str | None = None
    ended: str | None = None
    error: str = ""
    peak_memory_bytes: int | None = None
    reason: Reason | None = None
    created: str | None = None
    wants_datasets: bool = False


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Some output of an attempt.

    Attributes:
        data: raw bytes (one or more whole lines, or the last, unfinished one).
        offset: opaque; passed back as `since`, reading goes on exactly after this chunk.
    """

    data: bytes
    offset: str


@runtime_checkable
class EventTeller(Protocol):
    """A target whose infrastructure remembers what happened to an attempt."""

    async def events(self, place: Place) -> tuple[str, ...]:
        """What it still remembers of an attempt that ended: one line an event, oldest first."""
        ...


class Target(Protocol):
    """Runs attempts on one kind of infrastructure. Every call is idempotent; none blocks the event loop.

    Calls raise `Unavailable` when the infrastructure does not answer.
    """

    async def place(self, name: str) -> Place:
        """Where an attempt of this name would live on this engine or host."""
        ...

    async def ensure(self, spec: RunSpec) -> AttemptStatus:
        """Create the attempt if its name is free, else adopt it; start it only from state `created`.

        Raises:
            BadInput: the image does not exist, or the engine refuses the spec; says why.
        """
        ...

    async def status(self, place: Place) -> AttemptStatus | None:
        """What is there now; None if nothing is."""
        ...

    def logs(self, place: Place, since: str | None) -> AsyncIterator[LogChunk]:
        """Output from `since` (None: the beginning) until the attempt ends."""
        ...

    async def stop(self, place: Place, grace_s: float) -> Stopped | None:
        """End the attempt's whole process tree: politely, then hard after the grace. Returns when it is over.

        With what was done, and when; None: it was over before.
        """
        ...

    async def collect(self, place: Place, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Copy an exited attempt's outputs (`output_dir`, and `collect` under `root`) into a folder.

        Returns the paths left out: links, devices, and what is over `output_limit_bytes`.
        """
        ...

    async def remove(self, place: Place) -> None:
        """Remove what is left of the attempt. Nothing there is no error."""
        ...


@runtime_checkable
class Scheduling(Protocol):
    """A target that finds machines for attempts by itself: the spec says where they live, and they may wait."""

    async def place_of(self, spec: RunSpec) -> Place:
        """Where the attempt of this spec would live."""
        ...

    def waiting(self, place: Place) -> AsyncIterator[str]:
        """Why the program has not started yet, each time that changes, until it has, or is over."""
        ...
