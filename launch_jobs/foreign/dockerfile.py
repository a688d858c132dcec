"""A folder with a Dockerfile: the image that it builds is the job's, and its own command is the job's command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

from launch_jobs.errors import BadInput
from launch_jobs.foreign import Asked, Foreign
from launch_jobs.foreign.source import snapshot_folder
from launch_jobs.job import Entrypoint, Job

FILE = "Dockerfile"
_SHELL = ("/bin/sh", "-c")


def import_dockerfile(folder: Path, asked: Asked) -> Foreign:
    """Make a job of a folder with a Dockerfile, its build context.

    Raises:
        BadInput: the Dockerfile says no command, and none was given.
        CaptureError: the folder cannot be carried exactly.
    """
    argv = asked.command or command_of((folder / FILE).read_text(errors="replace"))
    if not argv:
        raise BadInput(f"{folder / FILE} says no command", do="Write one: launch job import PATH -- CMD ARG...")
    with snapshot_folder(folder, asked.store, whole=True) as snapshot:
        if FILE not in {entry.path for entry in snapshot.files}:
            raise BadInput(f"{folder / FILE} is ignored, so no part of the source", do="Mend .gitignore")
        job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=argv), dockerfile=FILE)
        return Foreign("Dockerfile", folder.resolve().name, job, snapshot.origin)


def command_of(text: str) -> tuple[str, ...]:
    """The command of the image that a Dockerfile's last stage makes; empty where the file says none."""
    entry: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    for line in _instructions(text):
        word, _, rest = line.partition(" ")
        match word.upper():
            case "FROM":
                entry, command = (), ()
            case "ENTRYPOINT":
                entry, command = _form(rest), ()
            case "CMD":
                command = _form(rest)
            case _:
                pass
    # As Docker has it: an entrypoint in the form for a shell takes no command.
    return entry if entry[:2] == _SHELL else (*entry, *command)


def _instructions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def _form(rest: str) -> tuple[str, ...]:
    text = rest.strip()
    try:
        found: object = json.loads(text)
    except ValueError:
        return (*_SHELL, text) if text else ()
    return tuple(str(word) for word in cast("list[object]", found)) if isinstance(found, list) else (*_SHELL, text)
