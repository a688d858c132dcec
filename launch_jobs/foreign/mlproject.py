"""An MLflow project: `MLproject` with its entry points, and the environment that it names."""

from __future__ import annotations

import posixpath
import shlex
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from launch_jobs.capture.tree import Snapshot
from launch_jobs.errors import BadInput
from launch_jobs.foreign import Asked, Foreign
from launch_jobs.foreign.mlflow_command import Parameter, command_line, inputs_of
from launch_jobs.foreign.packages import distributions_of, python_version, requirement_lines
from launch_jobs.foreign.source import snapshot_folder, this_python
from launch_jobs.job import Entrypoint, Environment, Inputs, Job
from launch_jobs.names import ImageRef

T = TypeVar("T", bound=BaseModel)

_RUNS = {".py": "python", ".sh": "bash"}


class _EntryPoint(BaseModel):
    parameters: dict[str, str | Parameter] = {}
    command: str


class _DockerEnv(BaseModel):
    image: str
    volumes: list[str] = []
    environment: list[str | list[str]] = []


class Project(BaseModel):
    """`MLproject`."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    entry_points: dict[str, _EntryPoint] = {}
    python_env: str | None = None
    conda_env: str | None = None
    docker_env: _DockerEnv | None = None
    databricks_spark_job: JsonValue = None


class _PythonEnv(BaseModel):
    python: str | None = None
    build_dependencies: list[str] = []
    dependencies: list[str] = []


class _CondaEnv(BaseModel):
    name: str | None = None
    channels: list[str] = []
    dependencies: list[str | dict[Literal["pip"], list[str]]] = []


def project_file(folder: Path) -> Path | None:
    """The project's file, in whatever case; None: the folder is none."""
    return next(
        (file for file in sorted(folder.iterdir()) if file.name.lower() == "mlproject" and file.is_file()), None
    )


def read_project(file: Path) -> Project:
    """Read a project.

    Raises:
        BadInput: it is none, or names two environments; says where.
    """
    project = _read(file, Project)
    named = [name for name in ("python_env", "conda_env", "docker_env") if getattr(project, name)]
    if len(named) > 1:
        raise BadInput(f"{file} names more than one environment: {', '.join(named)}", do="Keep one")
    if project.databricks_spark_job is not None:
        raise BadInput(f"{file} is a Databricks Spark job, which only Databricks runs")
    return project


def import_project(folder: Path, asked: Asked) -> Foreign:
    """Make a job of an MLflow project's entry point.

    Raises:
        BadInput: there is no such entry point, or its words cannot be read; says which there are.
        CaptureError: source or environment cannot be carried exactly.
    """
    file = project_file(folder)
    if file is None:
        raise BadInput(f"{folder} has no MLproject")
    project = read_project(file)
    name = asked.entry_point or "main"
    argv, inputs = _entry_point(project, name, asked)
    notes: list[str] = []
    with snapshot_folder(folder, asked.store, whole=False) as snapshot:
        environment, base_image = _environment(folder, project, notes)
        job = Job(
            source=snapshot.source,
            entrypoint=Entrypoint(argv=argv, directory=_directory(folder, snapshot)),
            environment=environment,
            inputs=inputs,
            base_image=base_image,
        )
        called = project.name or folder.resolve().name
        label = called if name == "main" else f"{called}-{posixpath.splitext(name)[0]}"
        return Foreign("MLflow project", label, job, snapshot.origin, notes=tuple(notes))


def _entry_point(project: Project, name: str, asked: Asked) -> tuple[tuple[str, ...], Inputs]:
    if asked.command:
        return asked.command, Inputs()
    variables = _variables(project.docker_env)
    if (found := project.entry_points.get(name)) is not None:
        parameters = {
            key: Parameter(type=one) if isinstance(one, str) else one for key, one in found.parameters.items()
        }
        return command_line(found.command, parameters, variables), inputs_of(parameters)
    program = _RUNS.get(posixpath.splitext(name)[1])
    if program is None:
        there = ", ".join(sorted(project.entry_points)) or "none"
        raise BadInput(f"The MLflow project has no entry point {name!r}", do=f"Name one by --entry-point: {there}")
    return command_line(f"{program} {shlex.quote(name)}", {}, variables), Inputs()


def _variables(docker: _DockerEnv | None) -> dict[str, str]:
    pairs = [one for one in (docker.environment if docker else []) if isinstance(one, list)]
    if any(len(one) != 2 for one in pairs):
        raise BadInput("MLproject: docker_env.environment holds something other than names and pairs")
    return {one[0]: one[1] for one in pairs}


def _environment(folder: Path, project: Project, notes: list[str]) -> tuple[Environment, str | None]:
    if project.docker_env:
        return Environment(), _base_image(project.docker_env, notes)
    python_env = project.python_env or _there(folder, "python_env.yaml")
    conda_env = project.conda_env or _there(folder, "conda.yaml")
    if python_env and not project.conda_env:
        return _of_python_env(folder / python_env, folder), None
    if conda_env:
        return _of_conda(folder / conda_env, folder, notes), None
    notes.append(f"the project names no environment: Python {this_python()} without packages, as MLflow makes it")
    return Environment(python=this_python()), None


def _base_image(docker: _DockerEnv, notes: list[str]) -> str:
    ImageRef.parse(docker.image)
    notes += [f"the volume {volume!r} is not carried: declare a dataset" for volume in docker.volumes]
    copied = [one for one in docker.environment if isinstance(one, str)]
    notes += [f"the variable {name} was copied from the host: give it at submit, --env {name}=…" for name in copied]
    return docker.image


def _of_python_env(file: Path, folder: Path) -> Environment:
    told = _read(file, _PythonEnv)
    python = python_version(told.python or "") or this_python()
    return Environment(
        python=python, distributions=distributions_of(_expanded(told.dependencies, file), python, folder)
    )


def _of_conda(file: Path, folder: Path, notes: list[str]) -> Environment:
    told = _read(file, _CondaEnv)
    lines: list[str] = []
    python = None
    for one in told.dependencies:
        if isinstance(one, dict):
            lines += _expanded(one["pip"], file)
            continue
        name, version = _conda_package(one)
        if name == "python":
            python = python_version(version)
        elif name != "pip":
            lines.append(_as_requirement(name, version))
            notes.append(f"conda's {one} is taken from the package index as {lines[-1]}")
    python = python or this_python()
    return Environment(python=python, distributions=distributions_of(lines, python, folder))


def _conda_package(text: str) -> tuple[str, str]:
    """Name and version of `channel::name=1.2=build`, `name>=1.2`, `name`."""
    plain = text.rpartition("::")[2].replace(" ", "")
    end = next((index for index, char in enumerate(plain) if char in "=<>!~"), len(plain))
    return plain[:end].lower(), plain[end:]


def _as_requirement(name: str, version: str) -> str:
    if not version.startswith("=") or version.startswith("=="):
        return f"{name}{version}"
    number = version.lstrip("=").partition("=")[0]
    return f"{name}=={number}" if number.endswith("*") else f"{name}=={number}.*"


def _expanded(lines: list[str], file: Path) -> list[str]:
    """Requirement lines, with those of the files that they name in their place."""
    found: list[str] = []
    for line in requirement_lines("\n".join(lines)):
        option, _, name = line.replace("=", " ", 1).partition(" ") if line.startswith("-") else ("", "", "")
        if option in ("-r", "--requirement"):
            inner = file.parent / name.strip()
            if not inner.is_file():
                raise BadInput(f"{file} names {name.strip()!r}, which is not there")
            found += requirement_lines(inner.read_text(errors="replace"))
        else:
            found.append(line)
    return found


def _directory(folder: Path, snapshot: Snapshot) -> str:
    return folder.resolve().relative_to(snapshot.root.resolve()).as_posix()


def _there(folder: Path, name: str) -> str | None:
    return name if (folder / name).is_file() else None


def _read(file: Path, model: type[T]) -> T:
    try:
        found: object = yaml.safe_load(file.read_bytes())
        return model.model_validate(found)
    except (OSError, yaml.YAMLError) as error:
        raise BadInput(f"{file} is no readable YAML ({error})", do="Mend it") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "its top"
        raise BadInput(f"{file}: {where}: {first['msg']}", do="Mend it") from error
