"""A W&B job: the folder of its artifact, `wandb-job.json` and what lies beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, JsonValue, ValidationError

from launch_jobs.capture.choices import context_folder
from launch_jobs.capture.code import snapshot_code
from launch_jobs.capture.git_commit import snapshot_commit
from launch_jobs.capture.tree import Snapshot
from launch_jobs.errors import BadInput
from launch_jobs.foreign import Asked, Foreign, wandb_words
from launch_jobs.foreign.packages import distributions_of, python_version, requirement_lines
from launch_jobs.foreign.source import check_entry, this_python
from launch_jobs.job import Entrypoint, Environment, Inputs, Job, Origin
from launch_jobs.names import ImageRef, slug

FILE = "wandb-job.json"
_REQUIREMENTS = "requirements.frozen.txt"
_PATCH = "diff.patch"
_LARGEST = 16 << 20


class _Git(BaseModel):
    remote: str
    commit: str


class _Source(BaseModel):
    git: _Git | None = None
    artifact: str | None = None
    image: str | None = None
    entrypoint: list[str] = []
    args: list[str] = []
    notebook: bool = False
    build_context: str | None = None
    dockerfile: str | None = None
    base_image: str | None = None


class WandbJob(BaseModel):
    """`wandb-job.json`; what else newer clients write in it is not asked for."""

    source_type: Literal["repo", "artifact", "image"]
    source: _Source
    input_types: JsonValue = None
    runtime: str | None = None
    services: dict[str, str] = {}


def read_job(folder: Path) -> WandbJob:
    """Read a job's description.

    Raises:
        BadInput: it is none; says where.
    """
    file = folder / FILE
    try:
        if file.stat().st_size > _LARGEST:
            raise BadInput(f"{file} is larger than {_LARGEST:,} bytes")
        return WandbJob.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "its text"
        raise BadInput(
            f"{file} is no W&B job: {where}: {first['msg']}", do="Download the job's artifact again"
        ) from error


def import_job(folder: Path, asked: Asked) -> Foreign:
    """Make a job of a W&B job.

    Raises:
        BadInput: it lacks what its kind needs; says what.
        CaptureError: its source cannot be rebuilt exactly.
    """
    told = read_job(folder)
    name = re.sub(r":v[0-9]+$", "", folder.name)
    if told.source_type == "image":
        return _image(told, name, asked)
    if told.source.notebook and not asked.command:
        raise wandb_words.notebook(" ".join(told.source.entrypoint))
    argv = asked.command or wandb_words.entrypoint([*told.source.entrypoint, *told.source.args])
    with _snapshot(folder, told, asked) as snapshot:
        inner = context_folder(snapshot.root, {"build_context": told.source.build_context})
        if inner:
            with snapshot_code(inner, asked.store) as part:
                return _foreign(name, told, (folder, argv), part)
        return _foreign(name, told, (folder, argv), snapshot)


def _foreign(name: str, told: WandbJob, what: tuple[Path, tuple[str, ...]], snapshot: Snapshot) -> Foreign:
    folder, argv = what
    check_entry(wandb_words.entry_file(argv), snapshot)
    inputs = wandb_words.inputs_of_types(told.input_types)
    job = Job(
        source=snapshot.source,
        entrypoint=Entrypoint(argv=configured(argv, inputs)),
        environment=_environment(folder, told, snapshot),
        inputs=inputs,
        dockerfile=told.source.dockerfile,
        base_image=told.source.base_image,
    )
    notes = [f"service {service!r} is not carried" for service in told.services]
    if (folder / _PATCH).exists():
        notes.append("new files that were not committed are in no W&B job: the source is the commit and diff.patch")
    return Foreign("W&B job", name, job, snapshot.origin, notes=tuple(notes))


def configured(argv: tuple[str, ...], inputs: Inputs) -> tuple[str, ...]:
    """A command that gives parameters which are no options to `wandb.init`."""
    written = {option.name for option in inputs.options}
    names = inputs.parameters_schema.get("properties")
    if isinstance(names, dict) and set(names) - written:
        return ("sh", "-c", wandb_words.CONFIGURED, "wandb", *argv)
    return argv


def _snapshot(folder: Path, told: WandbJob, asked: Asked) -> Snapshot:
    source, place = told.source, asked.place
    if told.source_type == "repo":
        if source.git is None:
            raise BadInput("no repo job ingredients found, but source type set to repo", do=f"Mend {folder / FILE}")
        patch = folder / _PATCH
        return snapshot_commit(
            place or source.git.remote, source.git.commit, asked.store, patch if patch.exists() else None
        )
    code = place if isinstance(place, Path) else folder / "code"
    if not code.is_dir():
        raise BadInput(
            f"The code of this W&B job is another artifact, {source.artifact}",
            do="Download it (wandb artifact get), and name its folder: --repository FOLDER",
        )
    return snapshot_code(code, asked.store)


def _environment(folder: Path, told: WandbJob, snapshot: Snapshot) -> Environment:
    python = _python(told, snapshot.root) or this_python()
    file = folder / _REQUIREMENTS
    lines = requirement_lines(file.read_text(errors="replace")) if file.exists() else []
    beside = snapshot.root / "requirements.txt"
    if not lines and beside.is_file():  # jobs that were made without a run have an empty list
        lines = requirement_lines(beside.read_text(errors="replace"))
    return Environment(python=python, distributions=distributions_of(lines, python, snapshot.root))


def _python(told: WandbJob, root: Path) -> str | None:
    """The runtime that was recorded, else what the source says."""
    said = [told.runtime or ""]
    for name in ("runtime.txt", ".python-version"):
        file = root / name
        said.append(file.read_text(errors="replace") if file.is_file() else "")
    return next((version for text in said if (version := python_version(text))), None)


def _image(told: WandbJob, name: str, asked: Asked) -> Foreign:
    from launch_jobs.capture.image import image_job

    if not told.source.image:
        raise BadInput("no image job ingredients found, but source type set to image")
    reference = ImageRef.parse(told.source.image)
    inputs = wandb_words.inputs_of_types(told.input_types)
    job = image_job(str(reference), asked.command or tuple(told.source.entrypoint))
    command = Entrypoint(argv=configured(job.entrypoint.argv, inputs))
    alias = slug(reference.tag) if reference.tag not in ("", "latest") else None
    return Foreign(
        "W&B job", name, job.model_copy(update={"inputs": inputs, "entrypoint": command}), Origin(), alias=alias
    )
