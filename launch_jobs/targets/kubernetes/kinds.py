"""Kinds of workload objects: where their pod templates are, how their status is read. One YAML file each. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from launch_jobs.job import Frozen

State = Literal["running", "succeeded", "failed", "suspended"]


class PodTemplates(Frozen):
    """Where an object has pod templates."""

    path: str = Field(description="Dots between keys; `[]` each item of a list, `{}` each value of an object.")
    runs_program: bool = Field(default=True, description="Whether its containers without image get the job's.")


class StatusRule(Frozen):
    """One way in which an object says how it stands; the first rule that fits counts."""

    state: State
    condition: str | None = Field(default=None, description="Type of a condition in status.conditions that is True.")
    path: str | None = Field(default=None, description="Or: where a phase stands, e.g. status.state.phase.")
    values: tuple[str, ...] = Field(default=(), description="What is there, then; empty: anything that is true.")


class WorkloadKind(Frozen):
    """What is known of one kind of workload object."""

    api_version: str = Field(description="Group and version, e.g. batch/v1.")
    kind: str
    plural: str | None = Field(default=None, description="The API's own word in its paths; None: ask the server.")
    pod_templates: tuple[PodTemplates, ...] = Field(min_length=1)
    status: tuple[StatusRule, ...] = Field(min_length=1)
    pods: str = Field(
        default="launch-jobs.org/attempt={name}", description="Label selector of its pods; {name} is the object's name."
    )
    deletion: Literal["Foreground", "Background"] = "Foreground"
    suspend: str | None = Field(default=None, description="Path of the field that holds it back, e.g. spec.suspend.")
    ranks: Literal["own", "indexed", "none"] = Field(
        default="none", description="Who tells RANK and WORLD_SIZE: its operator, we by the Job's index, nobody."
    )
    is_known: bool = Field(default=True, description="False: read by defaults, for no file describes it.")

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version in its group."""
        return self.api_version.rpartition("/")[2]

    def selector(self, name: str) -> str:
        """The label selector that finds the pods of an object of this name."""
        return self.pods.replace("{name}", name)


@dataclass(frozen=True, slots=True)
class Kinds:
    """All kinds that an agent knows, by (apiVersion, kind)."""

    known: Mapping[tuple[str, str], WorkloadKind]

    def of(self, manifest: Mapping[str, JsonValue]) -> WorkloadKind:
        """The kind of an object; one that no file describes is read by defaults (`is_known` False).

        Raises:
            BadInput: it has no apiVersion or kind, or no pod template where one could be.
        """
        raise NotImplementedError

    def named(self, api_version: str, kind: str) -> WorkloadKind:
        """A kind by its name, by defaults if no file describes it."""
        raise NotImplementedError


def load_kinds(folder: Path | None = None) -> Kinds:
    """The kinds that come with Launch Jobs, and over them those of an operator's folder (agent.toml, `kinds`).

    Raises:
        BadInput: a file is no description of a kind; one line says which and where.
    """
    raise NotImplementedError
