"""Recognise what a path is, and keep the job that it describes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from launch_jobs.capture.secret_values import check_command, hide_secrets, is_secret
from launch_jobs.errors import BadInput
from launch_jobs.foreign import Asked, Foreign, dockerfile, mlproject, wandb_job, wandb_run
from launch_jobs.job import JobVersion
from launch_jobs.names import check_name, slug

Importer = Callable[[Path, Asked], Foreign]

_KINDS = "a W&B job or run, an MLflow project or a folder with a Dockerfile"


@dataclass(frozen=True, slots=True)
class Kept:
    """An import's end.

    Attributes:
        version: ours.
        foreign: what it was.
        new: the store did not have it under this name.
    """

    version: JobVersion
    foreign: Foreign
    new: bool


def recognise(path: Path) -> Importer:
    """Who can read a folder.

    Raises:
        BadInput: nobody; says what could be named instead.
    """
    if (path / wandb_job.FILE).is_file():
        return wandb_job.import_job
    if _is_run(path):
        return wandb_run.import_run
    if runs := sorted(child.name for child in path.iterdir() if not child.is_symlink() and _is_run(child)):
        raise BadInput(f"{path} holds {len(runs)} W&B runs", do=f"Name one, such as {path / runs[-1]}")
    if mlproject.project_file(path):
        return mlproject.import_project
    if (path / dockerfile.FILE).is_file():
        return dockerfile.import_dockerfile
    raise BadInput(
        f"{str(path)!r} is a folder, but not {_KINDS}", do="Name a file of `launch job export`, or such a folder"
    )


def import_folder(path: Path, asked: Asked, *, name: str | None = None) -> Kept:
    """Keep the job of a folder that another tool wrote; again is no change. Nothing of it is run.

    Args:
        path: the folder.
        asked: what the user says besides.
        name: of the job; None: a slug of the name that it had.

    Raises:
        BadInput: it is none, or lacks something; says what.
        CaptureError: source or packages cannot be had exactly as they were.
        Refused: its source or command holds a secret, or its remote is not allowed.
        Unavailable: a remote or registry does not answer.
    """
    if name is not None:
        check_name("job", name)
    foreign = _without_secrets(recognise(path)(path, asked))
    called = name or check_name("job", slug(unicodedata.normalize("NFKC", foreign.name)))
    before = {one.digest for one in asked.store.versions(called)}
    # Outside the digest: the same source imported under another name is the same job.
    notes = (*foreign.origin.notes, f"imported from the {foreign.kind} {foreign.name}", *foreign.notes)
    version = asked.store.add(called, foreign.job, foreign.origin.model_copy(update={"notes": notes}))
    if foreign.alias:
        asked.store.set_alias(called, foreign.alias, version.version)
    if foreign.record:
        asked.store.add_record(version, foreign.record)
    return Kept(version, foreign, version.digest not in before)


def _without_secrets(foreign: Foreign) -> Foreign:
    """The same without secret values of the run that it describes; its command must hold none.

    Raises:
        Refused: it does.
    """
    check_command(foreign.job.entrypoint.argv)
    if foreign.record is None:
        return foreign
    values = foreign.record.parameters
    hidden = sorted(name for name, value in values.items() if is_secret(name, value))
    kept = hide_secrets({name: value for name, value in values.items() if name not in hidden})
    notes = [f"not stored, for they are secret: the values of {', '.join(hidden)}"] if hidden else []
    record = foreign.record.model_copy(update={"parameters": kept, "notes": (*foreign.record.notes, *notes)})
    return replace(foreign, notes=(*foreign.notes, *notes), record=record)


def _is_run(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    marks = (folder / wandb_run.METADATA, folder / "files" / wandb_run.METADATA)
    return any(mark.is_file() for mark in marks) or any(folder.glob("run-*.wandb"))
