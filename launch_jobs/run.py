"""A run: one execution of a job, as data. Attempts, places, ends, and what they leave."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import Field

from launch_jobs.errors import BadInput, RunFailed
from launch_jobs.job import Frozen, JsonObject
from launch_jobs.names import Digest

_OUTPUTS_URL = re.compile(
    r"outputs://(?P<run>[a-z0-9][a-z0-9-]{0,62})/(?P<attempt>[1-9][0-9]{0,8})(?:/(?P<path>[^\0]*))?", re.DOTALL
)


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


class OutputsUrl(Frozen):
    """What one attempt left, or a part of it; it never changes, so that it can be another run's dataset."""

    run: str
    attempt: int = Field(ge=1)
    path: str = Field(default="", description="A file or folder among the outputs; empty: all of them.")

    @classmethod
    def parse(cls, text: str) -> OutputsUrl:
        """Read `outputs://<run id>/<attempt>[/<path>]`; the path is plain text, no character in it is escaped.

        Raises:
            BadInput: the text is no such URL.
        """
        found = _OUTPUTS_URL.fullmatch(text)
        path = (found["path"] or "").removesuffix("/") if found else ""
        if not found or (path and any(part in {"", ".", ".."} for part in path.split("/"))):
            raise BadInput(f"{text[:200]!r} names no outputs", do="Expected outputs://<run id>/<attempt>[/<path>]")
        return cls(run=found["run"], attempt=int(found["attempt"]), path=path)

    def __str__(self) -> str:
        return f"outputs://{self.run}/{self.attempt}{'/' if self.path else ''}{self.path}"


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

    def completed(self) -> RunInfo:
        """This run, if it is over and completed.

        Raises:
            RunFailed: it is not; the message says why.
        """
        if self.state is not RunState.COMPLETED:
            raise RunFailed(
                f"Run {self.name!r} is {self.state.value}: {self.reason}", do=f"See `launch logs {self.id}`"
            )
        return self

    def output_url(self, path: str = "") -> str:
        """`outputs://…`: what the run left, or a file or folder of it, to be another run's dataset.

        Raises:
            BadInput: it is not over.
        """
        if not self.state.is_final or self.attempt is None:
            raise BadInput(f"Run {self.name!r} has left nothing yet ({self.state_name})", do="Wait until it is over")
        return str(OutputsUrl(run=self.id, attempt=self.attempt, path=path))
