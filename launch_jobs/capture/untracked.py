"""Jobs without a run: from a folder, a git work tree, or a remote repository."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from launch_jobs.capture.choices import Choices, check_choices, chosen, context_folder, inputs_by
from launch_jobs.capture.code import snapshot_code
from launch_jobs.capture.datasets import declare_datasets
from launch_jobs.capture.entrypoint import entrypoint_of, locate
from launch_jobs.capture.installed import installed_of
from launch_jobs.capture.notebook_program import Asked, asked_for, is_notebook
from launch_jobs.capture.proof import prove
from launch_jobs.capture.secret_values import check_command
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.source import Limits, Snapshot, snapshot_source, usual_limits
from launch_jobs.errors import BadInput
from launch_jobs.job import GitSource, Job, JobVersion
from launch_jobs.names import check_name
from launch_jobs.store.jobs import JobStore


def capture_code(
    path: Path | str, entrypoint: Sequence[str], *, store: JobStore, name: str | None = None, **choices: Unpack[Choices]
) -> JobVersion:
    """Make a job of a folder's files, without running anything.

    The environment is what the source can import and the project declares, of the interpreter that the entrypoint
    names. There is no parameter schema but the one given: only a tracked run shows what the program parses.

    Args:
        path: the source root, where the program runs too.
        entrypoint: program and arguments.
        store: takes the job.
        name: of the job; default: the script's stem.
        choices: what the user says besides.

    Raises:
        BadInput: no such folder, an empty entrypoint, a program or script that is not there, a wrong choice.
        CaptureError: source or environment cannot be carried exactly.
    """
    wanted = _Wanted(entrypoint, store, name, choices)
    folder = _folder(path)
    return _capture_files(context_folder(folder, choices) or folder, wanted)


def capture_git(
    path: Path | str,
    entrypoint: Sequence[str],
    *,
    store: JobStore,
    name: str | None = None,
    ref: str | None = None,
    **choices: Unpack[Choices],
) -> JobVersion:
    """Make a job of a git repository, without running anything (see `capture_code`).

    With a build context that folder alone is the source, as files without a commit.

    Args:
        path: a folder in a work tree (every uncommitted change is captured), or the URL of a remote repository.
        entrypoint: program and arguments, run in that folder, or at the top of the remote repository.
        store: takes the job.
        name: of the job; default: the script's stem.
        ref: branch, tag or commit of the remote repository; of a local one, its committed state.
        choices: what the user says besides.

    Raises:
        BadInput: no such folder or repository, an empty entrypoint, a program or script that is not there, a wrong
            choice.
        CaptureError: source or environment cannot be carried exactly.
        Unavailable: the remote does not answer.
    """
    wanted = _Wanted(entrypoint, store, name, choices)
    is_address = "://" in str(path) or ((":" in str(path) or str(path).startswith("-")) and not Path(path).exists())
    if ref is not None or is_address:
        from launch_jobs.capture.git_commit import snapshot_commit

        where = Path(path).resolve() if Path(path).exists() else str(path)
        with snapshot_commit(where, ref or "HEAD", store) as snapshot:
            if inner := context_folder(snapshot.root, choices):
                return _capture_files(inner, wanted)
            wanted.check_committed()
            with wanted.asked(snapshot.root) as asked:
                return _capture(snapshot, asked, wanted)
    folder = _folder(path)
    if inner := context_folder(folder, choices):
        return _capture_files(inner, wanted)
    with wanted.asked(folder) as asked, snapshot_source(folder, store, limits=asked.limits(wanted.limits)) as snapshot:
        if not isinstance(snapshot.source, GitSource):
            raise BadInput(f"{folder} is in no git repository with a commit", do="Use launch job create code")
        return _capture(snapshot, asked, wanted)


def capture_folder(
    path: Path | str, entrypoint: Sequence[str], *, store: JobStore, name: str | None = None, **choices: Unpack[Choices]
) -> JobVersion:
    """Make a job of a folder as it is: of its git work tree if it is in one with a commit, else of its files alone.

    Args:
        path: where the program runs.
        entrypoint: program and arguments.
        store: takes the job.
        name: of the job; default: the script's stem.
        choices: what the user says besides.

    Raises:
        as `capture_git`.
    """
    wanted = _Wanted(entrypoint, store, name, choices)
    folder = _folder(path)
    if inner := context_folder(folder, choices):
        return _capture_files(inner, wanted)
    with wanted.asked(folder) as asked, snapshot_source(folder, store, limits=asked.limits(wanted.limits)) as snapshot:
        return _capture(snapshot, asked, wanted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A job to be made, checked as far as it can be without its source."""

    entrypoint: Sequence[str]
    store: JobStore
    name: str | None
    choices: Choices

    def __post_init__(self) -> None:
        check_choices(self.choices)
        check_command(self.entrypoint)
        if self.name:
            check_name("job", self.name)

    @property
    def limits(self) -> Limits:
        """What its source may carry."""
        return usual_limits(self.choices.get("secret_files", ()))

    def asked(self, folder: Path) -> AbstractContextManager[Asked]:
        """Its command, understood in the folder of its source."""
        return asked_for(self.entrypoint, folder, magics=bool(self.choices.get("notebook_magics")))

    def check_committed(self) -> None:
        """Nothing is added to the tree of a commit.

        Raises:
            BadInput: the command is a notebook, of which a script would have to be.
        """
        if is_notebook(self.entrypoint):
            raise BadInput(
                f"the notebook {self.entrypoint[0]!r} of a commit has no script in it",
                do="Clone the repository, and name the work tree without --ref",
            )


def _capture_files(folder: Path, wanted: _Wanted) -> JobVersion:
    limits = wanted.limits
    with wanted.asked(folder) as asked, snapshot_code(folder, wanted.store, limits=asked.limits(limits)) as snapshot:
        return _capture(snapshot, asked, wanted)


def _capture(snapshot: Snapshot, asked: Asked, wanted: _Wanted) -> JobVersion:
    prove(snapshot, wanted.store)
    program = asked.program
    located = locate(program, asked.directory, snapshot.root, frozenset(entry.path for entry in snapshot.files))
    job = Job(
        source=snapshot.source,
        entrypoint=entrypoint_of(program.argv, located),
        environment=installed_of(Seen((), None), located, snapshot, "project", wanted.store).environment,
        inputs=inputs_by(asked.parameters),
    )
    declared = declare_datasets(wanted.choices.get("datasets", {}), Path.cwd(), snapshot.root, wanted.store)
    job = chosen(job, wanted.choices, snapshot).model_copy(update={"datasets": declared.datasets})
    return wanted.store.add(wanted.name or asked.name, job, declared.added_to(asked.noted(snapshot).origin))


def _folder(path: Path | str) -> Path:
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise BadInput(f"{str(path)!r} is no folder", do="Name the folder of the program's source")
    return folder
