"""A tracked run: snapshot the source, run the program as it is, then make a job of what was seen."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, Unpack

from launch_jobs.capture.config_inputs import ConfigFiles
from launch_jobs.capture.datasets import Declared, declare_datasets
from launch_jobs.capture.entrypoint import Located, entrypoint_of, locate
from launch_jobs.capture.environment import Mode
from launch_jobs.capture.host import this_host
from launch_jobs.capture.installed import installed_of
from launch_jobs.capture.interpreter import Program
from launch_jobs.capture.left_out import ignored_imports
from launch_jobs.capture.notebook_program import Asked, asked_for
from launch_jobs.capture.observation import read_observations, read_parameters
from launch_jobs.capture.outputs import earlier_outputs, remember_outputs, written_paths
from launch_jobs.capture.parameters import capture_inputs
from launch_jobs.capture.process import Ended, run_program
from launch_jobs.capture.proof import prove
from launch_jobs.capture.secret_values import check_command, hide_secrets, without_secrets
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.source import Snapshot, snapshot_source, usual_limits
from launch_jobs.capture.system_packages import system_packages
from launch_jobs.capture.tracked_inputs import keep_parameters, with_tracked
from launch_jobs.errors import LaunchError
from launch_jobs.job import CaptureRecord, Job, JobVersion
from launch_jobs.names import check_name
from launch_jobs.settings import home
from launch_jobs.store.jobs import JobStore
from launch_jobs.tracker import INJECT


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The end of a tracked run.

    Attributes:
        exit_code: the program's, as a shell would say it; capture never changes it.
        version: the job that was captured; None if that failed.
        record: what this run was; None if that failed.
        problem: one line on why the capture failed, and where its raw record is.
    """

    exit_code: int
    version: JobVersion | None
    record: CaptureRecord | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Started:
    """What is known and fixed before the program starts."""

    typed: tuple[str, ...]
    program: Program
    place: Located
    name: str
    mode: Mode
    snapshot: Snapshot
    configs: ConfigFiles
    journals: Path
    time: datetime
    declared: Declared


class Allowed(TypedDict, total=False):
    """What a user lets pass.

    Attributes:
        secret_files: paths that may hold secrets, relative to here or to the source root; each is noted.
        start: instead of `run_program`, for a program that runs already.
        datasets: the job's, by name (see `declare_datasets`).
        notebook_magics: cells of a notebook with magics run under IPython.
        python: interpreter of a notebook.
        input_files: config files of which the values are parameters, relative to where the program runs.
    """

    secret_files: Sequence[str]
    start: Callable[[Sequence[str], Path, Mapping[str, str]], Ended]
    datasets: Mapping[str, str]
    notebook_magics: bool
    python: str
    input_files: Sequence[str]


def run_tracked(
    command: Sequence[str],
    *,
    store: JobStore,
    name: str | None = None,
    environment: Mode = "project",
    directory: Path,
    **allowed: Unpack[Allowed],
) -> TrackedRun:
    """Run a program here, unchanged, and capture a job from the run, however it ends.

    Args:
        command: program and arguments, as for a shell.
        store: takes the job and the run's record.
        name: of the job; default: the script's stem.
        environment: which distributions the job needs (see `environment_of`).
        directory: where the program runs; its source tree is the git work tree around it, or the folder itself.
        allowed: what is refused without it.

    Raises:
        BadInput: before anything ran: the command is empty, its program or script is not there or cannot start.
        CaptureError: before anything ran: the source cannot be carried exactly.
        Refused: before anything ran: the source or the command holds a secret.
    """
    check_command(command)
    name = check_name("job", name) if name else None
    magics, python = allowed.get("notebook_magics", False), allowed.get("python")
    with asked_for(command, directory.resolve(), magics=magics, python=python) as asked:
        return _run(asked, name or asked.name, environment, store, allowed)


def _run(asked: Asked, name: str, environment: Mode, store: JobStore, allowed: Allowed) -> TrackedRun:
    without = earlier_outputs(asked.directory, name)
    limits = asked.limits(usual_limits(allowed.get("secret_files", ())))
    with (
        snapshot_source(asked.folder, store, without=without, limits=limits) as snapshot,
        tempfile.TemporaryDirectory(prefix="launch-track-") as folder,
    ):
        place = locate(asked.program, asked.directory, snapshot)
        noted = asked.noted(snapshot)
        declared = declare_datasets(allowed.get("datasets", {}), asked.folder, snapshot.root, store)
        configs = ConfigFiles.of(allowed.get("input_files", ()), place, snapshot)
        known = (asked.typed, asked.program, place, name, environment, noted, configs, Path(folder))
        started = _Started(*known, datetime.now(UTC), declared)
        keep_parameters(started.journals, asked.parameters)
        clock = time.monotonic()
        start, given = allowed.get("start", run_program), {**os.environ, **declared.env}
        ended = start(asked.argv, asked.directory, _injected(given, Path(folder), snapshot.root))
        started = replace(started, time=started.time - timedelta(seconds=ended.before_s))
        return _capture(started, ended, time.monotonic() - clock + ended.before_s, store)


def _injected(environment: Mapping[str, str], journals: Path, root: Path) -> dict[str, str]:
    """The program's environment: ours, and the tracker first on PYTHONPATH (of a run inside a tracked run too)."""
    given = environment.get("PYTHONPATH")
    # An empty entry means the working directory; an empty variable, nothing.
    rest = [entry for entry in given.split(os.pathsep) if entry != str(INJECT)] if given else []
    return {
        **environment,
        **({} if rest else {"LAUNCH_TRACK_PATH_UNSET": "1"}),
        "PYTHONPATH": os.pathsep.join([str(INJECT), *rest]),
        "LAUNCH_TRACK_DIR": str(journals),
        "LAUNCH_TRACK_ROOT": str(root),
    }


def _capture(started: _Started, ended: Ended, duration_s: float, store: JobStore) -> TrackedRun:
    run = str(uuid.uuid4())
    try:
        version, record = _keep(started, ended, duration_s, run, store)
    except LaunchError as error:
        return TrackedRun(ended.exit_code, None, None, _keep_raw(started, run, str(error)))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever fails in us, the program's end stands
        return TrackedRun(ended.exit_code, None, None, _keep_raw(started, run, repr(error)))
    return TrackedRun(ended.exit_code, version, record)


def _keep(
    started: _Started, ended: Ended, duration_s: float, run: str, store: JobStore
) -> tuple[JobVersion, CaptureRecord]:
    snapshot = started.snapshot
    seen = Seen.of(read_observations(started.journals), ended.pid, started.program)
    installed = installed_of(seen, started.place, snapshot, started.mode, store)
    named = read_parameters(started.journals)
    taken = capture_inputs(started.program.argv, seen.parser)
    captured = without_secrets(started.configs.added_to(with_tracked(taken, named, started.journals), seen))
    job = Job(
        source=snapshot.source,
        entrypoint=entrypoint_of(captured.argv, started.place),
        environment=installed.environment,
        inputs=captured.inputs,
        datasets=started.declared.datasets,
    )
    source = {entry.path for entry in snapshot.files}
    written = [path for one in seen.observations for path in one.written]
    outputs = written_paths(snapshot.root, written, started.journals.stat().st_ctime_ns, source)
    record = CaptureRecord(
        run=run,
        parameters=hide_secrets(captured.values),
        argv=started.typed,
        exit_code=ended.exit_code,
        started=started.time.isoformat(timespec="milliseconds"),
        duration_s=round(duration_s, 3),
        host=this_host(),
        outputs=outputs,
        freeze=installed.freeze,
        libraries=seen.libraries(snapshot.root),
        system_packages=system_packages(seen.libraries(snapshot.root)),
        verified=True,
        notes=(*_source_notes(started, seen), *installed.notes, *filter(None, (captured.note, ended.note))),
    )
    prove(snapshot, store)
    version = store.add(started.name, job, started.declared.added_to(snapshot.origin))
    store.add_record(version, record)
    remember_outputs(started.place.directory, started.name, snapshot.root, set(outputs) - source)
    return version, record


def _source_notes(started: _Started, seen: Seen) -> tuple[str, ...]:
    """What is particular about the source, and what the program used without its being seen or carried."""
    snapshot = started.snapshot
    ignored = ignored_imports(seen.imported, snapshot, seen.first.prefix if seen.first else "")
    return (*snapshot.origin.notes, *seen.notes(started.program), *ignored)


def _keep_raw(started: _Started, run: str, reason: str) -> str:
    """Save what the tracker saw of a run whose capture failed; one line that says why, and where."""
    kept = home() / "captures" / run
    try:
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copytree(started.journals, kept, dirs_exist_ok=True)
        (kept / "problem.txt").write_text(f"{started.program.argv}\n{reason}\n")
    except OSError as error:
        return f"The run was not captured: {reason} (nor could its raw record be kept in {kept}: {error.strerror})"
    return f"The run was not captured: {reason}. Its raw record is in {kept}".replace("..", ".")
