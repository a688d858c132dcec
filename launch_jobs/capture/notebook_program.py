"""A command that starts a notebook: the script that runs in its place, and what a job has of both.

The script is written into a temporary folder, so that nothing of the user's is touched. In the job it stands beside
the notebook, which is there without its outputs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.capture.interpreter import Program, find_program
from launch_jobs.capture.limits import Limits
from launch_jobs.capture.process import run_quiet
from launch_jobs.errors import BadInput, CaptureError
from launch_jobs.names import slug

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.capture.notebook import Notebook
    from launch_jobs.capture.notebook_script import Script
    from launch_jobs.capture.tree import Snapshot
    from launch_jobs.job import JsonObject

SUFFIX = ".ipynb"


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, understood; of a notebook, as the script that it becomes.

    Attributes:
        typed: as the user typed it.
        program: as the job has it.
        name: the default name of its job.
        directory: where it runs, absolute.
        folder: where its source is: what was asked for, or the notebook's folder if that is elsewhere.
        argv: what to start here.
        instead: files to take in the place of those of the tree (see `Limits`).
        notes: what is particular about a notebook's source.
        parameters: what the cell tagged `parameters` sets.
    """

    typed: tuple[str, ...]
    program: Program
    name: str
    directory: Path
    folder: Path
    argv: tuple[str, ...]
    instead: Mapping[Path, Path] = field(default_factory=dict[Path, Path])
    notes: tuple[str, ...] = ()
    parameters: JsonObject = field(default_factory=dict[str, "JsonValue"])

    def limits(self, limits: Limits) -> Limits:
        """These limits, and the files of the notebook."""
        return replace(limits, instead=self.instead)

    def noted(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot that says what is particular about the notebook."""
        notes = (*snapshot.origin.notes, *self.notes)
        return replace(snapshot, origin=snapshot.origin.model_copy(update={"notes": notes}))


def is_notebook(command: Sequence[str]) -> bool:
    """Whether a command's program is a notebook."""
    return bool(command) and command[0].endswith(SUFFIX)


@contextmanager
def asked_for(
    command: Sequence[str], directory: Path, *, magics: bool = False, python: str | None = None
) -> Generator[Asked]:
    """Understand a command; the script of a notebook is there until the end.

    A notebook runs in its own folder, as in Jupyter.

    Args:
        command: as for a shell, or a notebook and arguments.
        directory: where it was typed.
        magics: a notebook's cells with magics run under IPython.
        python: interpreter of a notebook; default: the first on PATH.

    Raises:
        BadInput: as `find_program`, and `read_notebook`.
        Refused: a magic needs IPython, and that is not wanted.
    """
    if not is_notebook(command):
        program = find_program(command, directory)
        _check_interpreter(program)
        yield Asked(program.argv, program, program.name, directory, directory, program.argv)
        return
    # Imported here, for a program that is no notebook would wait for it.
    from launch_jobs.capture.notebook import read_notebook
    from launch_jobs.capture.notebook_script import script_of

    file = (directory / command[0]).resolve()
    notebook = read_notebook(file)
    script = script_of(file.name, notebook.cells, magics=magics)
    with tempfile.TemporaryDirectory(prefix="launch-notebook-") as folder:
        asked = _asked(file, notebook, script, _start(command, Path(folder), file, python or _python()))
        folder_asked = directory if file.is_relative_to(directory) else file.parent
        yield replace(asked, typed=tuple(command), folder=folder_asked)


def _start(command: Sequence[str], folder: Path, file: Path, python: str) -> tuple[str, ...]:
    return (python, str(folder / f"{file.name}.py"), *command[1:])


def _asked(file: Path, notebook: Notebook, script: Script, argv: tuple[str, ...]) -> Asked:
    written = Path(argv[1])
    written.write_text(script.text, encoding="utf-8", errors="surrogatepass")
    beside = file.with_name(written.name)
    if beside.exists():
        raise BadInput(f"{beside.name!r} is there already, and a notebook's script has that name", do="Rename it")
    instead = {beside: written}
    if notebook.stripped is not None:
        instead[file] = written.with_name(file.name)
        instead[file].write_bytes(notebook.stripped)
    program = replace(
        find_program(argv, file.parent), argv=(argv[0], beside.name, *argv[2:]), target=beside.name, index=1
    )
    if "InteractiveShell" in script.text:
        _need_ipython(argv[0])
    notes = (_source_note(file, notebook), notebook.order_note, *script.notes)
    return Asked(
        argv,
        program,
        slug(file.stem),
        file.parent,
        file.parent,
        argv,
        instead=instead,
        notes=tuple(note for note in notes if note),
        parameters=script.parameters,
    )


def _source_note(file: Path, notebook: Notebook) -> str:
    stripped = f", and {file.name} is in the job without its outputs" if notebook.stripped is not None else ""
    return (
        f"The notebook {file.name} runs as {file.name}.py, made from its cells{stripped}: "
        "the job's tree differs from the working copy by this only."
    )


def _check_interpreter(program: Program) -> None:
    if program.kind == "script" and program.target.endswith(SUFFIX):
        given = " ".join((program.target, *program.argv[program.index + 1 :]))
        raise BadInput(
            f"Python cannot run the notebook {program.target!r}",
            do=f"launch run -- {given} (with the first python on PATH: {_python()})",
        )


def _python() -> str:
    return next((name for name in ("python", "python3") if shutil.which(name)), sys.executable)


def _need_ipython(python: str) -> None:
    try:
        run_quiet((python, "-c", "import IPython"), "", os.environ)
    except CaptureError as error:
        raise BadInput(
            f"--allow-notebook-magics runs cells under IPython, which {python!r} does not have",
            do=f"{python} -m pip install ipython",
        ) from error
