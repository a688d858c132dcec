"""What comes after a tracked run: a job, of the held source and what was seen of the program."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from launch_jobs.capture.config_inputs import ConfigFiles
from launch_jobs.capture.datasets import Declared
from launch_jobs.capture.entrypoint import Located, entrypoint_of, search_path
from launch_jobs.capture.environment import Mode
from launch_jobs.capture.held import HeldSource
from launch_jobs.capture.host import this_host
from launch_jobs.capture.inputs_seen import propose
from launch_jobs.capture.installed import installed_of
from launch_jobs.capture.late_store import LateStore
from launch_jobs.capture.left_out import ignored_imports
from launch_jobs.capture.lineage import parents_of
from launch_jobs.capture.notebook_program import Asked
from launch_jobs.capture.observation import read_observations, read_parameters
from launch_jobs.capture.outputs import remember_outputs, written_paths
from launch_jobs.capture.parameters import capture_inputs
from launch_jobs.capture.process import Ended
from launch_jobs.capture.proof import prove
from launch_jobs.capture.secret_values import hide_secrets, without_secrets
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.system_packages import system_packages
from launch_jobs.capture.tracked_end import STEPS, TrackedRun
from launch_jobs.capture.tracked_inputs import with_tracked
from launch_jobs.capture.tree import Snapshot
from launch_jobs.errors import CaptureError, LaunchError
from launch_jobs.home import home
from launch_jobs.job import CaptureRecord, Job, JobVersion
from launch_jobs.store.jobs import JobStore


@dataclass(frozen=True, slots=True)
class Started:
    """What is known and fixed before the program starts.

    Attributes:
        asked: the command, understood.
        place: where it stands in its source tree.
        name: of the job.
        mode: which distributions the job needs.
        source: held as it was then.
        configs: the files that the user named as the program's configuration; None: none.
        journals: the folder that the tracker writes into.
        time: when the program started.
        declared: the job's datasets.
        say: told what is being done.
    """

    asked: Asked
    place: Located
    name: str
    mode: Mode
    source: HeldSource
    configs: ConfigFiles | None
    journals: Path
    time: datetime
    declared: Declared
    say: Callable[[str], None]


def capture_run(started: Started, ended: Ended, duration_s: float, store: LateStore) -> TrackedRun:
    """Make a job of a run that ended; whatever fails in us, the program's end stands."""
    run = str(uuid.uuid4())
    try:
        version, record = _keep(started, ended, duration_s, run, store.whole)
    except LaunchError as error:
        return TrackedRun(ended.exit_code, None, None, _keep_raw(started, run, str(error)))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever fails in us, the program's end stands
        return TrackedRun(ended.exit_code, None, None, _keep_raw(started, run, repr(error)))
    return TrackedRun(ended.exit_code, version, record)


def _keep(
    started: Started, ended: Ended, duration_s: float, run: str, store: JobStore
) -> tuple[JobVersion, CaptureRecord]:
    program = started.asked.program
    if program.kind == "input":
        raise CaptureError("its code came from standard input, and no job has that", do="Put the code into a file")
    started.say(STEPS[0])
    snapshot = started.asked.noted(started.source.finish())
    started.say(STEPS[1])
    seen = Seen.of(read_observations(started.journals), ended.pid, program)
    installed = installed_of(seen, started.place, snapshot, started.mode, store)
    named = read_parameters(started.journals)
    taken = capture_inputs(program.argv, seen.parser, has_arguments=len(program.argv) > program.index + 1)
    configs = started.configs or ConfigFiles.of((), started.place, snapshot)
    captured = without_secrets(configs.added_to(with_tracked(taken, named, started.journals), seen))
    job = Job(
        source=snapshot.source,
        entrypoint=entrypoint_of(captured.argv, started.place),
        environment=installed.environment.model_copy(update={"search_path": search_path(started.place, os.environ)}),
        inputs=captured.inputs,
        datasets=started.declared.datasets,
    )
    record = CaptureRecord(
        run=run,
        parameters=hide_secrets(captured.values),
        argv=started.asked.typed,
        exit_code=ended.exit_code,
        started=started.time.isoformat(timespec="milliseconds"),
        duration_s=round(duration_s, 3),
        host=this_host(),
        freeze=installed.freeze,
        verified=True,
        notes=(
            *_source_notes(started, snapshot, seen),
            *installed.notes,
            *filter(None, (captured.note, ended.note)),
        ),
    )
    record = _with_files(record, started, snapshot, seen)
    started.say(STEPS[2])
    prove(snapshot, store)
    started.say(STEPS[3])
    version = store.add(started.name, job, started.declared.added_to(snapshot.origin))
    store.add_record(version, record)
    new = {*record.outputs} - {entry.path for entry in snapshot.files}
    remember_outputs(started.place.directory, started.name, snapshot.root, new)
    return version, record


def _with_files(record: CaptureRecord, started: Started, snapshot: Snapshot, seen: Seen) -> CaptureRecord:
    """The record with what the run read, wrote and loaded, and what its job was made from."""
    source, since = {entry.path for entry in snapshot.files}, started.journals.stat().st_ctime_ns
    proposed, libraries = propose(seen, snapshot.root, source, since), seen.libraries(snapshot.root)
    return record.model_copy(
        update={
            "outputs": written_paths(
                snapshot.root, [path for one in seen.observations for path in one.written], since, source
            ),
            "libraries": libraries,
            "system_packages": system_packages(libraries),
            "read": proposed.read,
            "written": proposed.written,
            "parents": parents_of(snapshot.root, started.declared.datasets, os.environ),
            "notes": (*record.notes, *proposed.notes),
        }
    )


def _source_notes(started: Started, snapshot: Snapshot, seen: Seen) -> tuple[str, ...]:
    """What is particular about the source, and what the program used without its being seen or carried."""
    ignored = ignored_imports(seen.imported, snapshot, seen.first.prefix if seen.first else "")
    return (*snapshot.origin.notes, *seen.notes(started.asked.program), *ignored)


def _keep_raw(started: Started, run: str, reason: str) -> str:
    """Save what the tracker saw of a run whose capture failed; one line that says why, and where."""
    kept = home() / "captures" / run
    try:
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copytree(started.journals, kept, dirs_exist_ok=True)
        (kept / "problem.txt").write_text(f"{started.asked.program.argv}\n{reason}\n")
    except OSError as error:
        return f"The run was not captured: {reason} (nor could its raw record be kept in {kept}: {error.strerror})"
    return f"The run was not captured: {reason}. Its raw record is in {kept}".replace("..", ".")
