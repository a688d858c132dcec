"""A run: one execution of a job, as data. Attempts, places, ends, and what they leave."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from launch_jobs.errors import BadInput
from launch_jobs.job import Frozen, JsonObject
from launch_jobs.names import Digest


class RunState(StrEnum):
    """Where a run stands, in Prefect's own words (state types, lower case)."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    PAUSED = "paused"

    @property
    def is_final(self) -> bool:
        """Whether a run stays in this state."""
        return self in {RunState.COMPLETED, RunState.FAILED, RunState.CRASHED, RunState.CANCELLED}


class Place(Frozen):
    """Where an attempt lives. The deterministic name on one engine is the fence against a second start."""

    kind: str = Field(pattern=r"^(docker|process|k8s)$")
    host: str = Field(pattern=r"^[^/]+$", description="Docker engine id, host id, or `<cluster uid>`.")
    name: str = Field(description="Container name, folder, or `<namespace>/<name>`.")

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read `docker://<engine id>/<name>`, `process://<host id>/<folder>` or `k8s://<cluster>/<namespace>/<name>`.

        Raises:
            BadInput: the text is none of these.
        """
        kind, sep, rest = url.partition("://")
        host, slash, name = rest.partition("/")
        if not (sep and slash and name):
            raise BadInput(f"{url!r} is no place", do="Expected kind://host/name")
        return cls(kind=kind, host=host, name=name)

    def __str__(self) -> str:
        return f"{self.kind}://{self.host}/{self.name}"


class Reason(StrEnum):
    """Why an attempt ended."""

    EXITED = "exited"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    INFRASTRUCTURE = "infrastructure"


class OutputFile(Frozen):
    """One file that a run left."""

    path: str = Field(description="Relative, `/` between parts.")
    size: int = Field(ge=0, description="Bytes.")
    digest: Digest


class Outputs(Frozen):
    """The files and metrics that an attempt left."""

    files: tuple[OutputFile, ...] = ()
    left_out: tuple[str, ...] = Field(default=(), description="Paths not kept (over the queue's limit, or unreadable).")
    metrics: JsonObject = Field(default_factory=dict, description="A flat `metrics.json` among the files.")


class Outcome(Frozen):
    """The end of one attempt, written once; Prefect's state is its projection."""

    run: str
    attempt: int = Field(ge=1)
    place: str
    reason: Reason
    exit_code: int | None = Field(default=None, description="The program's own; None where there is none.")
    message: str = Field(description="One line for people.")
    parameters: JsonObject = Field(default_factory=dict, description="Effective hyperparameters, all of them.")
    image: str | None = Field(default=None, description="Image reference or environment that was run.")
    started: str | None = Field(default=None, description="ISO 8601, UTC.")
    ended: str = Field(description="ISO 8601, UTC.")
    outputs: Outputs = Outputs()

    @property
    def state(self) -> RunState:
        """The terminal state that tells this end."""
        if self.reason is Reason.CANCELLED:
            return RunState.CANCELLED
        if self.reason is Reason.INFRASTRUCTURE:
            return RunState.CRASHED
        return RunState.COMPLETED if self.reason is Reason.EXITED and self.exit_code == 0 else RunState.FAILED


class RunInfo(Frozen):
    """A run as `launch list` and `launch show` tell it."""

    id: str
    name: str
    state: RunState
    state_name: str = Field(description="Prefect's name of the state, e.g. `Late`.")
    job: str | None = Field(description="`name@sha256:…`, the content that runs.")
    job_label: str | None = Field(default=None, description="`name:vN`.")
    queue: str | None
    priority: str | None = None
    parameters: JsonObject = Field(default_factory=dict)
    exit_code: int | None = None
    reason: str | None = Field(default=None, description="Why it is where it is, one line.")
    attempt: int | None = None
    place: str | None = None
    image: str | None = None
    submitted: str | None = None
    started: str | None = None
    ended: str | None = None
    duration_s: float | None = None
    metrics: JsonObject = Field(default_factory=dict)
    outputs: tuple[OutputFile, ...] = ()
