"""A W&B run: the folder `wandb/run-…` that a client leaves, whether or not it was ever online."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from pydantic import JsonValue

from launch_jobs.capture.code import snapshot_code
from launch_jobs.capture.git_commit import snapshot_commit
from launch_jobs.capture.git_remote import clean_url
from launch_jobs.capture.tree import Snapshot
from launch_jobs.errors import BadInput, CaptureError, Unavailable
from launch_jobs.foreign import Asked, Foreign, wandb_words
from launch_jobs.foreign.packages import distributions_of, python_version, requirement_lines
from launch_jobs.foreign.source import check_entry, this_python
from launch_jobs.foreign.wandb_job import configured
from launch_jobs.foreign.wandb_log import RunLog, read_log
from launch_jobs.job import CaptureRecord, Entrypoint, Environment, Host, Job, JsonObject

METADATA = "wandb-metadata.json"
_REQUIREMENTS, _PATCH, _CONFIG = "requirements.txt", "diff.patch", "config.yaml"


@dataclass(frozen=True, slots=True)
class WandbRun:
    """A run as its folder tells it.

    Attributes:
        files: the folder's `files`.
        log: metadata and config; those in files go before those in the log.
    """

    files: Path
    log: RunLog

    @property
    def metadata(self) -> Mapping[str, JsonValue]:
        """What `wandb-metadata.json` says."""
        return self.log.metadata

    def text(self, name: str) -> str:
        """A text of the metadata; empty if it is not there."""
        found = self.metadata.get(name)
        return found if isinstance(found, str) else ""

    @property
    def git(self) -> tuple[str, str]:
        """Remote and commit; empty where there is none."""
        found = self.metadata.get("git")
        known: JsonObject = found if isinstance(found, dict) else {}
        return str(known.get("remote") or known.get("remote_url") or ""), str(known.get("commit") or "")


def read_run(folder: Path) -> WandbRun:
    """Read a run's folder, or its `files`.

    Raises:
        BadInput: it holds neither metadata nor log, or one cannot be read; says which.
    """
    top = folder.resolve()
    top = top.parent if top.name == "files" else top
    files = top / "files" if (top / "files").is_dir() else top
    logs = sorted(top.glob("*.wandb"))
    log = read_log(logs[0]) if logs else RunLog()
    log.run = log.run or top.name.rpartition("-")[2]
    if (files / METADATA).is_file():
        log.metadata = {**log.metadata, **_read_json(files / METADATA)}
    elif not log.metadata.get("program") and not log.metadata.get("codePath"):
        raise BadInput(
            f"{files} has no {METADATA}, and no run-….wandb beside it tells what ran", do="Name the run's folder"
        )
    if (files / _CONFIG).is_file():
        log.config = {**log.config, **_read_config(files / _CONFIG)}
    return WandbRun(files, log)


def import_run(folder: Path, asked: Asked) -> Foreign:
    """Make a job of a W&B run.

    Raises:
        BadInput: what it ran is not said.
        CaptureError: its source cannot be rebuilt exactly; says what to name.
    """
    told = read_run(folder)
    argv = asked.command or wandb_words.command_of(told.metadata)
    inputs, values = wandb_words.inputs_of_run(argv, told.log.config)
    with _snapshot(told, asked) as snapshot:
        check_entry(wandb_words.entry_file(argv), snapshot)
        job = Job(
            source=snapshot.source,
            entrypoint=Entrypoint(argv=configured(argv, inputs)),
            environment=_environment(told, snapshot),
            inputs=inputs,
        )
        notes = _notes(told)
        name = f"{told.log.project}/{told.log.run}".removeprefix("/")
        return Foreign("W&B run", name, job, snapshot.origin, notes=notes, record=_record(told, argv, values, notes))


def _snapshot(told: WandbRun, asked: Asked) -> Snapshot:
    remote, commit = told.git
    place, code = asked.place, told.files / "code"
    address = place or (clean_url(remote) if remote else None)
    if commit and address:
        return _commit(told, commit, address, asked)
    if isinstance(place, Path):
        return snapshot_code(place, asked.store)
    if code.is_dir() and not commit:
        return snapshot_code(code, asked.store)
    raise CaptureError(
        f"The W&B run's source is commit {commit} of no remote" if commit else "The W&B run kept no source",
        do="Name the clone or folder that has it: --repository PATH",
    )


def _commit(told: WandbRun, commit: str, address: Path | str, asked: Asked) -> Snapshot:
    """The run's commit with its changes, else the newest one that was pushed, with the changes since then."""
    patch = told.files / _PATCH
    try:
        return snapshot_commit(address, commit, asked.store, patch if patch.exists() else None)
    except (CaptureError, Unavailable) as error:
        for since in sorted(told.files.glob("diff_*.patch")):
            pushed = since.stem.removeprefix("diff_")
            if pushed != commit:
                return snapshot_commit(address, pushed, asked.store, since)
        raise type(error)(
            f"The W&B run's commit {commit} cannot be had: {error.what}",
            do="Name a clone that has it: --repository PATH",
        ) from error


def _environment(told: WandbRun, snapshot: Snapshot) -> Environment:
    file = told.files / _REQUIREMENTS
    if not file.is_file():
        raise BadInput(f"{told.files} has no {_REQUIREMENTS}: nobody knows the run's packages")
    python = python_version(told.text("python")) or this_python()
    lines = requirement_lines(file.read_text(errors="replace"))
    return Environment(python=python, distributions=distributions_of(lines, python, snapshot.root))


def _record(told: WandbRun, argv: tuple[str, ...], values: JsonObject, notes: tuple[str, ...]) -> CaptureRecord:
    return CaptureRecord(
        run=told.log.run.lower(),
        parameters=values,
        argv=argv,
        exit_code=told.log.exit_code or 0,
        started=told.text("startedAt"),
        duration_s=0.0,
        host=Host(name=told.text("host"), system=told.text("os"), cpus=_number(told.metadata.get("cpu_count"))),
        notes=notes,
    )


def _notes(told: WandbRun) -> tuple[str, ...]:
    notes: list[str] = []
    if told.git[1]:
        notes.append("new files that were not committed are in no W&B run: the source is the commit and diff.patch")
        if not (told.files / _PATCH).exists():
            notes.append("there is no diff.patch: the tree was clean, or the client was told to save no code")
    if told.log.exit_code is None:
        notes.append("its exit code is not known")
    return tuple(notes)


def _read_json(file: Path) -> JsonObject:
    try:
        found: object = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} is no readable JSON ({error})") from error
    if not isinstance(found, dict):
        raise BadInput(f"{file} is no JSON object")
    return cast("JsonObject", found)


def _read_config(file: Path) -> JsonObject:
    """`name: {value: …}`; a form of `name: …` alone is what older clients wrote."""
    try:
        found: object = yaml.safe_load(file.read_bytes())
        plain: object = json.loads(json.dumps(found, default=str))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{file} is no readable YAML ({error})") from error
    items = cast("JsonObject", plain) if isinstance(plain, dict) else {}
    return {
        name: one["value"] if isinstance(one, dict) and "value" in one else one
        for name, one in items.items()
        if name != "wandb_version"
    }


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
