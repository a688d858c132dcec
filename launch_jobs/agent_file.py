"""An agent's own file, `agent.toml`: what its host grants to queues, and what only its operator may know."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationError, model_validator

from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import Frozen
from launch_jobs.targets.configuration import Memory
from launch_jobs.targets.grants import HostGrants
from launch_jobs.targets.quantity import parse_quantity

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LARGEST = 1 << 20

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_DEVICE = r"^(gpu|fake):[A-Za-z0-9-]{1,64}$"
DeviceName = Annotated[str, StringConstraints(pattern=_DEVICE)]
"""`gpu:` and the index or UUID that the driver gives; `fake:` devices are counted and told, and are none."""


class SecretBinding(Frozen):
    """Where the value of a secret comes from, and whose runs may have it. Exactly one of value, file and command."""

    value: SecretStr | None = Field(default=None, description="The value itself.")
    file: Path | None = Field(default=None, description="A file of this host that holds it, byte by byte.")
    command: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="A program of this host that prints it; one newline at the end goes."
    )
    timeout: float = Field(default=30, gt=0, le=600, description="Seconds that the command may take.")
    queues: tuple[str, ...] = Field(min_length=1, description="Launch queues whose runs may name it.")

    @model_validator(mode="after")
    def _has_one_source(self) -> SecretBinding:
        if sum(source is not None for source in (self.value, self.file, self.command)) != 1:
            raise ValueError("exactly one of value, file and command is needed")
        if self.file is not None and not self.file.is_absolute():
            raise ValueError("the file needs an absolute path")
        return self


class AgentFile(Frozen):
    """The content of `agent.toml`; without a file the host grants nothing and limits nothing."""

    allow: HostGrants = HostGrants()
    max_jobs: int | None = Field(
        default=None, ge=1, description="Most runs at once; of all limits the smallest counts."
    )
    devices: tuple[DeviceName, ...] | None = Field(
        default=None, description="GPUs that the agent owns; none given: those that the driver tells of."
    )
    cpus: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Processors for all runs together; None: nobody counts."
    )
    memory: Memory | None = Field(
        default=None, description="Memory for all runs together, such as 64Gi; None: nobody counts."
    )
    builder: Literal["docker", "kubernetes", "none"] = Field(
        default="docker", description="none: this host builds no images; only ready ones run."
    )
    kubernetes_builder: ClusterBuilder | None = Field(
        default=None, description="For `kubernetes`: images of Kubernetes queues are built in their cluster."
    )
    registry: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+$",
        description="The only Registry block that queues may send images to; also for queues that name none.",
    )
    kinds: Path | None = Field(
        default=None, description="A folder with descriptions of kinds of Kubernetes objects (*.yaml)."
    )
    secrets: dict[SecretName, SecretBinding] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _knows_its_builder(self) -> AgentFile:
        if self.builder == "kubernetes" and self.kubernetes_builder is None:
            raise ValueError("the builder kubernetes needs the table [kubernetes_builder] with an image")
        return self

    @property
    def memory_bytes(self) -> int | None:
        """The memory for all runs together, in bytes."""
        return None if self.memory is None else parse_quantity(self.memory)


def allowed_devices(asked: Sequence[str] | None, agent: AgentFile) -> tuple[str, ...] | None:
    """The devices that an agent takes: those asked for, which have to be among its file's. Pure.

    Raises:
        BadInput: a name is none.
        Refused: the file gives others.
    """
    if asked is None:
        return agent.devices
    for name in asked:
        if not re.fullmatch(_DEVICE, name):
            raise BadInput(f"{name[:80]!r} is no device", do="Name them as in --devices gpu:0,gpu:1")
        if agent.devices is not None and name not in agent.devices:
            raise Refused(f"The agent's file does not give it the device {name!r}", do="Mend `devices` in agent.toml")
    return tuple(asked)


def check_images(agent: AgentFile, registry: str | None, *, is_built: bool) -> None:
    """Judge where an image comes from: the Registry block that its queue names, and whether it has to be built. Pure.

    Raises:
        Refused: the file names another registry, or this host builds nothing.
    """
    if is_built and agent.builder == "none":
        raise Refused("This host builds no images (builder in its agent.toml)", do="Name a ready one: --set image=…")
    if agent.registry and registry not in {None, agent.registry}:
        raise Refused(
            f"The queue's registry {registry!r} is not this host's, {agent.registry!r}", do="Mend one of the two"
        )


def agent_file_path(home: Path) -> Path:
    """Where a home keeps its agent's file."""
    return home / "agent.toml"


def load_agent_file(path: Path, *, must_exist: bool = False) -> AgentFile:
    """Read an agent's file.

    Args:
        path: of the file.
        must_exist: it was named by the operator; else its absence means that nothing is granted.

    Raises:
        BadInput: it is no TOML, or a value is wrong; one line says where. It never repeats a value.
        Refused: others than its owner can read or write it, or its owner is somebody else.
    """
    try:
        text = _read_private(path)
    except FileNotFoundError as error:
        if must_exist:
            raise BadInput(f"There is no {path}", do="Name the agent's file") from error
        return AgentFile()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    try:
        return AgentFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is no TOML file: {error}", do="Mend that line") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}, {where}: {first['msg']}", do="Mend it; docs/agent.md shows each key") from error


def _read_private(path: Path) -> str:
    """Read a file that is its owner's alone; judged on what was opened, not on what its name means a moment later."""
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise BadInput(f"{path} is no file")
        if state.st_mode & _OTHERS:
            raise Refused(
                f"{path} can be read or written by others (mode {stat.S_IMODE(state.st_mode):04o})",
                do=f"Make it your own: chmod 600 {path}",
            )
        if state.st_uid not in {os.geteuid(), 0}:
            raise Refused(f"{path} belongs to user {state.st_uid}", do="The agent's own user, or root, must own it")
        if state.st_size > _LARGEST:
            raise BadInput(f"{path} has more than {_LARGEST:,} bytes")
        return file.read().decode()
