"""A tracked run: hold the source as it is, run the program unchanged, then make a job of what was seen."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from launch_jobs.capture.datasets import Declared, declare_datasets
from launch_jobs.capture.entrypoint import locate
from launch_jobs.capture.held import HeldSource
from launch_jobs.capture.late_store import LateStore
from launch_jobs.capture.notebook_program import Asked, asked_for
from launch_jobs.capture.outputs import earlier_outputs
from launch_jobs.capture.process import Ended, run_program
from launch_jobs.capture.secret_values import check_command
from launch_jobs.capture.source import hold_source, usual_limits
from launch_jobs.capture.tracked_end import TrackedRun
from launch_jobs.names import check_name
from launch_jobs.tracker import INJECT

# The program waits for whatever is imported here: so nothing with pydantic, which takes longer than all the rest.
if TYPE_CHECKING:
    from launch_jobs.capture.config_inputs import ConfigFiles
    from launch_jobs.capture.entrypoint import Located
    from launch_jobs.capture.environment import Mode
    from launch_jobs.store.jobs import JobStore

__all__ = ["Say", "Start", "TrackedRun", "Wanted", "run_tracked"]

Say = Callable[[str], None]
Start = Callable[[Sequence[str], Path, Mapping[str, str]], Ended]
"""Runs a command in a folder with an environment, and waits for its end."""


class Wanted(TypedDict, total=False):
    """What a user may say of a run.

    Attributes:
        name: of the job; default: the script's stem.
        environment: which distributions the job needs (see `environment_of`).
        secret_files: paths that may hold secrets, relative to here or to the source root; each is noted.
        datasets: the job's, by name (see `declare_datasets`).
        notebook_magics: cells of a notebook with magics run under IPython.
        python: interpreter of a notebook.
        input_files: config files of which the values are parameters, relative to where the program runs.
        say: told what is being done, in a few words; nothing while the program runs.
    """

    name: str | None
    environment: Mode
    secret_files: Sequence[str]
    datasets: Mapping[str, str]
    notebook_magics: bool
    python: str
    input_files: Sequence[str]
    say: Say


def run_tracked(
    command: Sequence[str],
    *,
    store: JobStore | LateStore,
    directory: Path,
    start: Start = run_program,
    **wanted: Unpack[Wanted],
) -> TrackedRun:
    """Run a program here, unchanged, and capture a job from the run, however it ends.

    Args:
        command: program and arguments, as for a shell.
        store: takes the job and the run's record; a late one may be opened once the program has ended.
        directory: where the program runs; its source tree is the git work tree around it, or the folder itself.
        start: how; another way than `run_program` is for a program that runs already.
        wanted: what the user says of it.

    Raises:
        BadInput: before anything ran: the command is empty, its program or script is not there or cannot start.
        CaptureError: before anything ran: the source cannot be carried exactly.
        Refused: before anything ran: the source or the command holds a secret.
    """
    check_command(command)
    name = wanted.get("name")
    wanted["name"] = check_name("job", name) if name else None
    magics, python = wanted.get("notebook_magics", False), wanted.get("python")
    with asked_for(command, directory.resolve(), magics=magics, python=python) as asked:
        late = store if isinstance(store, LateStore) else LateStore(lambda: store)
        return _run(asked, start, late, wanted)


def _run(asked: Asked, start: Start, store: LateStore, wanted: Wanted) -> TrackedRun:
    name = wanted.get("name") or asked.name
    without = earlier_outputs(asked.directory, name)
    limits = asked.limits(usual_limits(wanted.get("secret_files", ())))
    say = wanted.get("say", lambda _: None)
    say("Looking at the source")
    with (
        hold_source(asked.folder, store, without=without, limits=limits) as held,
        tempfile.TemporaryDirectory(prefix="launch-track-") as folder,
    ):
        place = locate(asked.program, asked.directory, held.root, held.paths)
        named = wanted.get("datasets")
        declared = declare_datasets(named, asked.folder, held.root, store.whole) if named else Declared()
        source, configs = _configs(wanted.get("input_files", ()), place, held)
        _keep_parameters(Path(folder), asked)
        say("")
        began, clock = datetime.now(UTC), time.monotonic()
        ended = start(asked.argv, asked.directory, _injected({**os.environ, **declared.env}, Path(folder), held.root))
        lasted = time.monotonic() - clock + ended.before_s
        try:
            from launch_jobs.capture.tracked_job import Started, capture_run
        except KeyboardInterrupt:  # the program's end stands
            return TrackedRun(ended.exit_code, None, None, "The run was not captured: interrupted")
        began -= timedelta(seconds=ended.before_s)
        known = (asked, place, name, wanted.get("environment", "project"), source, configs, Path(folder), began)
        return capture_run(Started(*known, declared, say), ended, lasted, store)


def _configs(paths: Sequence[str], place: Located, held: HeldSource) -> tuple[HeldSource, ConfigFiles | None]:
    """The config files that the user named: read and judged before the program starts, as all of the source then is."""
    if not paths:
        return held, None
    from launch_jobs.capture.config_inputs import ConfigFiles

    snapshot = held.finish()
    return HeldSource.whole(snapshot), ConfigFiles.of(paths, place, snapshot)


def _keep_parameters(journals: Path, asked: Asked) -> None:
    """Note those of a notebook where the tracker would."""
    if asked.parameters:
        from launch_jobs.capture.tracked_inputs import keep_parameters

        keep_parameters(journals, asked.parameters)


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
