"""Jobs without a run: from a folder, a git work tree, or a remote repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launch_jobs.capture.code import snapshot_code
from launch_jobs.capture.entrypoint import entrypoint_of, locate
from launch_jobs.capture.installed import installed_of
from launch_jobs.capture.interpreter import find_program
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.source import Snapshot, snapshot_source
from launch_jobs.errors import BadInput
from launch_jobs.job import GitSource, Job, JobVersion
from launch_jobs.names import check_name
from launch_jobs.store.jobs import JobStore


def capture_code(
    path: Path | str, entrypoint: Sequence[str], *, store: JobStore, name: str | None = None
) -> JobVersion:
    """Make a job of a folder's files, without running anything.

    The environment is what the source can import and the project declares, of the interpreter that the entrypoint
    names. There is no parameter schema: only a tracked run shows what the program parses.

    Args:
        path: the source root, where the program runs too.
        entrypoint: program and arguments.
        store: takes the job.
        name: of the job; default: the script's stem.

    Raises:
        BadInput: no such folder, an empty entrypoint, a program or script that is not there.
        CaptureError: source or environment cannot be carried exactly.
    """
    folder = _folder(path)
    find_program(entrypoint, folder)
    with snapshot_code(folder, store) as snapshot:
        return _capture(snapshot, folder, entrypoint, store, name)


def capture_git(
    path: Path | str, entrypoint: Sequence[str], *, store: JobStore, name: str | None = None, ref: str | None = None
) -> JobVersion:
    """Make a job of a git repository, without running anything (see `capture_code`).

    Args:
        path: a folder in a work tree (every uncommitted change is captured), or the URL of a remote repository.
        entrypoint: program and arguments, run in that folder, or at the top of the remote repository.
        store: takes the job.
        name: of the job; default: the script's stem.
        ref: branch, tag or commit of the remote repository; of a local one, its committed state.

    Raises:
        BadInput: no such folder or repository, an empty entrypoint, a program or script that is not there.
        CaptureError: source or environment cannot be carried exactly.
        Unavailable: the remote does not answer.
    """
    if ref is not None or "://" in str(path) or not Path(path).exists():
        from launch_jobs.capture.git_checkout import snapshot_remote

        address = str(Path(path).resolve()) if Path(path).exists() else str(path)
        with snapshot_remote(address, ref or "HEAD") as snapshot:
            return _capture(snapshot, snapshot.root, entrypoint, store, name)
    folder = _folder(path)
    find_program(entrypoint, folder)
    with snapshot_source(folder, store) as snapshot:
        if not isinstance(snapshot.source, GitSource):
            raise BadInput(f"{folder} is in no git repository with a commit", do="Use launch job create code")
        return _capture(snapshot, folder, entrypoint, store, name)


def _capture(
    snapshot: Snapshot, directory: Path, entrypoint: Sequence[str], store: JobStore, name: str | None
) -> JobVersion:
    program = find_program(entrypoint, directory)
    located = locate(program, directory, snapshot)
    job = Job(
        source=snapshot.source,
        entrypoint=entrypoint_of(program.argv, located),
        environment=installed_of(Seen((), None), located, snapshot, "project").environment,
    )
    return store.add(check_name("job", name) if name else program.name, job, snapshot.origin)


def _folder(path: Path | str) -> Path:
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise BadInput(f"{str(path)!r} is no folder", do="Name the folder of the program's source")
    return folder
