"""Kinds of workload objects: where their pod templates are, how their status is read. One YAML file each.

An operator's own file has the same keys: docs/kubernetes-kinds.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from launch_jobs.errors import BadInput
from launch_jobs.job import Frozen, JsonObject
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.paths import PATH
from launch_jobs.targets.kubernetes.yaml_documents import read_documents

State = Literal["running", "succeeded", "failed", "suspended"]
Path_ = Annotated[str, StringConstraints(pattern=PATH)]
"""Dots between keys; `[]`: each item of a list, `{}`: each value of an object, as in `spec.tasks[].template`."""

_OURS = Path(__file__).parent / "kinds"


class ProgramPlace(Frozen):
    """Where an object has a place for the job's program."""

    path: Path_
    shape: Literal["pod", "container"] = Field(
        default="pod", description="pod: a pod template. container: the object's own form of one (image, command, env)."
    )
    runs_command: bool = Field(default=True, description="False: its containers get all but the command.")
    resources: str = Field(default="resources", description="Name of the field with a container's limits.")


class StatusRule(Frozen):
    """One way in which an object says how it stands; the first rule that fits counts."""

    state: State
    condition: str | None = Field(default=None, description="Type of an entry of status.conditions that is True.")
    path: Path_ | None = Field(default=None, description="Or: where a phase stands, e.g. status.state.phase.")
    values: tuple[str, ...] = Field(default=(), description="What is there, then.")


class DefaultValue(Frozen):
    """A field that gets a value where the manifest has none."""

    path: Path_
    value: JsonValue


class WorkloadKind(Frozen):
    """What is known of one kind of workload object."""

    api_version: str = Field(pattern=r"^([a-z0-9.-]+/)?v[0-9a-z]+$", description="Group and version, e.g. batch/v1.")
    kind: str = Field(pattern=r"^[A-Z][A-Za-z0-9]*$")
    plural: str | None = Field(
        default=None, pattern=r"^[a-z0-9]+$", description="The API's own word in its paths; None: ask the server."
    )
    programs: tuple[ProgramPlace, ...] = Field(
        default=(), description="Where the program goes; empty: wherever a pod template is."
    )
    command_line: Path_ | None = Field(
        default=None, description="Where the command goes as one line of text, instead of into containers."
    )
    container: str = Field(default="main", description="Name of the container that a pod template without any gets.")
    status: tuple[StatusRule, ...] = Field(min_length=1)
    exit_code: Literal["pods", "object"] = Field(
        default="pods", description="object: its pods' exit codes are not the program's; failed means 1."
    )
    pods: str = Field(
        default=ATTEMPT_LABEL + "={name}", description="Label selector of its pods; {name} is the object's name."
    )
    deletion: Literal["Foreground", "Background"] = "Foreground"
    suspend: Path_ | None = Field(default=None, description="The field that holds it back, e.g. spec.suspend.")
    ttl: Path_ | None = Field(default=None, description="The field for seconds until it is removed after its end.")
    deadline: Path_ | None = Field(default=None, description="The field for the most seconds that it may run.")
    retries: Path_ | None = Field(default=None, description="The field for Kubernetes' own retries; 0 by default.")
    job_specs: Path_ | None = Field(default=None, description="Where specs of batch/v1 Jobs are.")
    defaults: tuple[DefaultValue, ...] = ()
    pod_labels: Path_ | None = Field(default=None, description="Further labels that its pods get.")
    ranks: Literal["own", "job", "jobset", "none"] = Field(
        default="none", description="Who tells RANK and WORLD_SIZE: its operator; we, by the index of a Job; nobody."
    )
    is_known: bool = Field(default=True, description="False: no file describes it, it is read by defaults.")

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


_CONDITIONS: tuple[tuple[State, tuple[str, ...]], ...] = (
    ("failed", ("Failed", "Error")),
    ("succeeded", ("Complete", "Completed", "Succeeded")),
    ("suspended", ("Suspended",)),
    ("running", ("Running",)),
)
_PHASES: tuple[tuple[State, tuple[str, ...]], ...] = (
    ("failed", ("Failed", "Error", "FAILED")),
    ("succeeded", ("Succeeded", "Completed", "Complete", "SUCCEEDED", "COMPLETED")),
    ("suspended", ("Suspended",)),
    ("running", ("Running", "RUNNING")),
)
_ANY_STATUS = (
    *(StatusRule(state=state, condition=one) for state, names in _CONDITIONS for one in names),
    *(
        StatusRule(state=state, path=path, values=values)
        for path in ("status.phase", "status.state")
        for state, values in _PHASES
    ),
)
"""How a kind that no file describes is read: by the words that most operators use."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """All kinds that an agent knows, by (apiVersion, kind)."""

    known: Mapping[tuple[str, str], WorkloadKind]

    def of(self, manifest: Mapping[str, JsonValue]) -> WorkloadKind:
        """The kind of an object; one that no file describes is read by defaults (`is_known` False).

        Raises:
            BadInput: it has no apiVersion or kind, or they are no such thing.
        """
        api_version, kind = manifest.get("apiVersion"), manifest.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            raise BadInput("the manifest has no apiVersion and kind", do="Write them as in `kubectl explain`")
        return self.named(api_version, kind)

    def named(self, api_version: str, kind: str) -> WorkloadKind:
        """A kind by its name, by defaults if no file describes it.

        Raises:
            BadInput: these are no names of a group, a version and a kind; or the kind is near one that is known.
        """
        if known := self.known.get((api_version, kind)):
            return known
        others = [
            one for one in self.known.values() if one.kind == kind and one.group == api_version.rpartition("/")[0]
        ]
        if others:
            raise BadInput(
                f"{kind} is known as {others[0].api_version}, not as {api_version}",
                do="Write that, or give the agent a file for the other (`kinds` in agent.toml)",
            )
        try:
            return WorkloadKind(api_version=api_version, kind=kind, status=_ANY_STATUS, is_known=False)
        except ValidationError as error:
            raise BadInput(f"{api_version[:80]!r}, {kind[:80]!r}: no apiVersion and kind", do="Mend them") from error


def load_kinds(folder: Path | None = None) -> Kinds:
    """The kinds that come with Launch Jobs, and over them those of an operator's folder (agent.toml, `kinds`).

    Raises:
        BadInput: a file is no description of a kind; one line says which and where.
    """
    folders = (_OURS,) if folder is None else (_OURS, folder)
    found = [_described(path, document) for one in folders for path, document in _documents(one)]
    return Kinds({(kind.api_version, kind.kind): kind for kind in found})


def _documents(folder: Path) -> Iterator[tuple[Path, JsonObject]]:
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder", do="Name the folder with the kinds' files")
    for path in sorted(folder.glob("*.yaml")):
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{path} cannot be read: {error}") from error
        yield from ((path, document) for document in read_documents(text, str(path)))


def _described(path: Path, document: JsonObject) -> WorkloadKind:
    try:
        return WorkloadKind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}, {where}: {first['msg']}", do="docs/kubernetes-kinds.md shows each key") from error
