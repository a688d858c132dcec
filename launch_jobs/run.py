"""A run: one execution of a job, as data. Attempts, places, ends, and what they leave."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import ConfigDict, Field, field_validator

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
    START_DEADLINE = "start-deadline"
    INFRASTRUCTURE = "infrastructure"
    PREEMPTED = "preempted"

    @property
    def is_infrastructure(self) -> bool:
        """Whether the program is not to blame."""
        return self in {Reason.START_DEADLINE, Reason.INFRASTRUCTURE, Reason.PREEMPTED}


class Failure(StrEnum):
    """What kind of failure an attempt ended by, finer than its reason."""

    USER = "user error"
    OUT_OF_MEMORY = "out of memory"
    GPU_MEMORY = "out of GPU memory"
    BUILD = "build"
    IMAGE = "image"
    START = "not started in time"
    TIMEOUT = "time-out"
    INFRASTRUCTURE = "infrastructure"
    PREEMPTED = "preempted"


class Grown(Frozen):
    """What an agent of one version tells and one of another may read: fields that the reader does not know are left.

    It must never call an end damaged, and begin the run again, because a newer agent said more of it.
    """

    model_config = ConfigDict(extra="ignore")


class Stopped(Grown):
    """Proof of a stop: moments (ISO 8601, UTC) of what was done, and of when nothing of the attempt ran any more."""

    asked: str | None = Field(default=None, description="When the agent following it learned that it must end.")
    signalled: str | None = Field(default=None, description="SIGTERM was sent; None: it was over before.")
    killed: str | None = Field(default=None, description="SIGKILL was sent; None: it was not necessary.")
    gone: str = Field(description="The engine or the kernel said that nothing of it runs.")


class RetryPolicy(Frozen):
    """How many further attempts follow ends of each class; each class is counted for itself."""

    failures: int = Field(default=0, ge=0, description="After a program that failed.")
    memory: int = Field(default=0, ge=0, description="After one that the kernel ended for its memory.")
    timeouts: int = Field(default=0, ge=0, description="After the time limit.")
    infrastructure: int = Field(default=0, ge=0, description="After a loss of infrastructure, or no start in time.")
    preemptions: int = Field(default=0, ge=0, description="After the infrastructure took its machine back.")

    def limit(self, reason: Reason) -> int:
        """The number that holds for an end of this reason."""
        if reason is Reason.PREEMPTED:
            return self.preemptions
        if reason.is_infrastructure:
            return self.infrastructure
        return {Reason.TIMEOUT: self.timeouts, Reason.OUT_OF_MEMORY: self.memory}.get(reason, self.failures)


class Retry(Frozen):
    """One more attempt."""

    number: int = Field(ge=1, description="Of this class.")
    limit: int = Field(ge=1, description="Of this class.")
    at_head: bool = Field(description="Back to the old place in line, for the program is not to blame.")


def next_attempt(policy: RetryPolicy, reason: Reason, earlier: tuple[Reason, ...]) -> Retry | None:
    """What follows an attempt that ended for this reason, after earlier ones; None: nothing. Pure."""
    if reason is Reason.CANCELLED:
        return None
    number = 1 + sum(_class_of(one) == _class_of(reason) for one in earlier)
    limit = policy.limit(reason)
    return Retry(number=number, limit=limit, at_head=reason.is_infrastructure) if number <= limit else None


def _class_of(reason: Reason) -> str:
    if reason in {Reason.TIMEOUT, Reason.OUT_OF_MEMORY, Reason.PREEMPTED, Reason.CANCELLED}:
        return reason.value
    return "infrastructure" if reason.is_infrastructure else "failure"


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


class OutputFile(Grown):
    """One file that a run left."""

    path: str = Field(description="Relative, `/` between parts.")
    size: int = Field(ge=0, description="Bytes.")
    digest: Digest


class Outputs(Grown):
    """The files and metrics that an attempt left."""

    files: tuple[OutputFile, ...] = ()
    left_out: tuple[str, ...] = Field(default=(), description="Paths not kept (over the queue's limit, or unreadable).")
    metrics: JsonObject = Field(default_factory=dict, description="A flat `metrics.json` among the files.")


class Outcome(Grown):
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
    failure: Failure | None = Field(default=None, description="What kind of failure; None: it is none.")
    hint: str = Field(default="", description="What to do about a failure, one line; a guess.")
    peak_memory_bytes: int | None = Field(
        default=None,
        description="Process: resident, of its largest process. Docker: of its container, cached files included, as "
        "read each second, so what the last second added can be missing. None: nobody measured.",
    )
    events: tuple[str, ...] = Field(
        default=(), description="Of an end that is a failure: what the infrastructure remembers, one line an event."
    )
    stopped: Stopped | None = Field(default=None, description="How we ended it; None: it ended by itself.")

    @field_validator("failure", mode="before")
    @classmethod
    def _known_failure(cls, value: object) -> object:
        """A kind of failure that a newer version tells apart is none that we know; the reason says enough."""
        return None if isinstance(value, str) and value not in frozenset(Failure) else value

    @property
    def signal(self) -> int | None:
        """The signal that ended the program, as its exit code says; None if it exited."""
        return self.exit_code - 128 if self.exit_code is not None and 128 < self.exit_code < 160 else None

    @property
    def state(self) -> RunState:
        """The terminal state that tells this end."""
        if self.reason is Reason.CANCELLED:
            return RunState.CANCELLED
        if self.reason.is_infrastructure:
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
    failure: str | None = Field(default=None, description="What kind of failure, e.g. `out of memory`.")
    hint: str | None = Field(default=None, description="What to do about it; a guess.")
    signal: int | None = Field(default=None, description="The signal that ended the program.")
    peak_memory_bytes: int | None = None
    stopped: Stopped | None = Field(default=None, description="Proof of a cancel or a time-out.")
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
