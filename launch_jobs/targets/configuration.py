"""What a queue may decide about a container or a process: the job variables, their types and their bounds."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from launch_jobs.job import Frozen
from launch_jobs.targets.quantity import QUANTITY, parse_quantity
from launch_jobs.targets.secret_files import USE

Quantity = Annotated[str, StringConstraints(pattern=QUANTITY)]
"""A size in bytes as Kubernetes writes it, e.g. `2Gi`."""


def _enough_memory(text: str) -> str:
    if parse_quantity(text) < _LEAST_MEMORY:
        raise ValueError("a container needs at least 6Mi")
    return text


Memory = Annotated[Quantity, AfterValidator(_enough_memory)]
"""A `Quantity` that Docker Engine takes as a limit; to it 0 would mean no limit at all."""

Mount = Annotated[str, StringConstraints(pattern=r"^/[^:\x00\n]*:/[^:\x00\n]+(:rw)?$", max_length=4096)]
"""A folder of the host in a container: SOURCE:TARGET, or SOURCE:TARGET:rw."""

SecretUse = Annotated[str, StringConstraints(pattern=USE, max_length=256)]

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

_YEAR_S = 31_536_000
_LEAST_MEMORY = 6 << 20


class ProcessConfiguration(Frozen):
    """Job variables of a `launch-process` queue: the program runs on the agent's own host, isolated by nothing."""

    work_pool_type: ClassVar[str] = "launch-process"
    operator_fields: ClassVar[frozenset[str]] = frozenset()
    """Written by the operator into the base job template; never job variables, so that no submitter sets them."""

    template_fields: ClassVar[frozenset[str]] = frozenset()
    """Objects written by the operator too, in which job variables may stand as whole values."""

    command: tuple[str, ...] | None = Field(
        default=None, title="Command", description="Argument vector that replaces the job's own; null: the job's own."
    )
    env: dict[EnvName, str] = Field(
        default_factory=dict,
        title="Environment variables",
        description="Set for the program. Names that begin with LAUNCH_ or PREFECT_ are refused.",
        json_schema_extra={"additionalProperties": False},
    )
    gpus: int = Field(default=0, ge=0, le=16, title="GPUs", description="NVIDIA GPUs given to the program.")
    secrets: tuple[SecretUse, ...] = Field(
        default=(),
        max_length=32,
        title="Secrets",
        description="Names of secrets that the agent's operator binds for this queue: each is a file in "
        "$LAUNCH_SECRETS_DIR, with NAME=VARIABLE an environment variable, too.",
    )
    timeout: float | None = Field(
        default=None,
        gt=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        title="Time limit",
        description="Most seconds a run may take; null: no limit.",
    )
    start_deadline: float | None = Field(
        default=None,
        gt=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        title="Start deadline",
        description="Most seconds until the program starts, building aside: for the pull of a ready image, its data, "
        "and its container; null: no limit.",
    )
    build_timeout: float | None = Field(
        default=None,
        gt=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        title="Build time limit",
        description="Most seconds that building the image or environment may take; null: no limit.",
    )
    failure_retries: int | None = Field(
        default=None,
        ge=0,
        le=100,
        title="Retries after a failure",
        description="Further attempts of a run that was submitted without retries of its own; null: none.",
    )
    memory_retries: int | None = Field(
        default=None,
        ge=0,
        le=100,
        title="Retries after running out of memory",
        description="Further attempts after the kernel ended it for its memory; null: as many as after a failure.",
    )
    timeout_retries: int | None = Field(
        default=None,
        ge=0,
        le=100,
        title="Retries after a time limit",
        description="Further attempts after the time limit; null: as many as after a failure.",
    )
    infrastructure_retries: int | None = Field(
        default=None,
        ge=0,
        le=100,
        title="Retries after lost infrastructure",
        description="Further attempts, first in line, after a container, host or engine was lost or did not start in "
        "time; null: as many as after a failure.",
    )
    preemption_retries: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        title="Retries after preemption",
        description="Further attempts, first in line, after the machine was taken back; null: as many as after "
        "a failure.",
    )
    stop_grace_seconds: float = Field(
        default=10,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        title="Grace",
        description="Seconds between the polite stop (SIGTERM) and the hard one (SIGKILL).",
    )
    output_limit: Quantity = Field(
        default="1Gi", title="Output limit", description="Most bytes of outputs kept from one attempt, e.g. 1Gi."
    )

    @property
    def output_limit_bytes(self) -> int:
        """Most bytes of outputs kept."""
        return parse_quantity(self.output_limit)


class ContainerConfiguration(ProcessConfiguration):
    """What is a queue's of containers, whatever runs them."""

    operator_fields: ClassVar[frozenset[str]] = frozenset({"registry"})

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        title="Image",
        description="A ready image to run instead of building one; null: build the job's image.",
    )
    base_image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        title="Base image",
        description="Base of the generated image; null: the job's, then the agent's setting.",
    )
    cpus: float | None = Field(
        default=None,
        gt=0,
        le=256,
        allow_inf_nan=False,
        title="CPUs",
        description="CPU time of that many processors; null: no limit.",
    )
    memory: Memory | None = Field(
        default=None, title="Memory", description="Memory limit, e.g. 512Mi or 2Gi (no swap); null: no limit."
    )
    shm_size: Memory | None = Field(
        default=None, title="Shared memory", description="Size of /dev/shm, e.g. 1Gi; null: the engine's (64Mi)."
    )
    registry: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+$",
        max_length=255,
        title="Registry",
        description="The operator's Registry block: built images go there and are run from there; null: none.",
    )

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory is None else parse_quantity(self.memory)

    @property
    def shm_bytes(self) -> int | None:
        """The size of /dev/shm in bytes."""
        return None if self.shm_size is None else parse_quantity(self.shm_size)


class DockerConfiguration(ContainerConfiguration):
    """Job variables of a `launch-docker` queue. In it is no way to a privilege or a host namespace, and to a
    mount only the operator's.
    """

    work_pool_type: ClassVar[str] = "launch-docker"
    operator_fields: ClassVar[frozenset[str]] = ContainerConfiguration.operator_fields | {"dataset_delivery", "mounts"}

    network: Literal["bridge", "none"] = Field(
        default="bridge", title="Network", description="bridge: out to the network; none: no network at all."
    )
    dataset_delivery: Literal["copy", "mount"] | None = Field(
        default=None,
        title="Datasets",
        description="mount: a job's datasets are mounted read-only from the agent's cache, which must be on the "
        "engine's own host; copy, or null: they are copied into each container.",
    )
    mounts: tuple[Mount, ...] | None = Field(
        default=None,
        max_length=32,
        title="Mounts",
        description="Folders of the engine's host that the operator mounts, as SOURCE:TARGET (read-only) or "
        "SOURCE:TARGET:rw; each agent's agent.toml has to grant them.",
    )
