"""The Python API: plain calls over capture, queues and runs, for scripts, notebooks and flows.

Every call that needs the server finds it as the command line does: PREFECT_API_URL's, else this home's. Inside a flow
it is the flow's own.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TypeVar, Unpack

from prefect.runtime import flow_run

from launch_jobs import capture, runs
from launch_jobs.batch import spread, submit_batch
from launch_jobs.capture.choices import Choices
from launch_jobs.client import wait_for
from launch_jobs.configured import configured_store, offer_git_account
from launch_jobs.job import JobVersion, JsonObject
from launch_jobs.keywords import Keywords, submission_of
from launch_jobs.local.connection import use_home_server
from launch_jobs.run import OutputFile, RunInfo, RunState
from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import JobStore
from launch_jobs.submission import submit as _submit

T = TypeVar("T")


def use_server() -> None:
    """Let this process, its flows included, talk to the server that `launch up` or `launch connect` left in this home.

    Where PREFECT_API_URL is set (in a Prefect worker, after `eval "$(launch env)"`), or inside a flow, nothing changes.

    Raises:
        LaunchError: what the home says of its server cannot be read.
    """
    if flow_run.get_id() is None:
        use_home_server(load_settings())


def _store() -> JobStore:
    use_server()
    settings = load_settings()
    offer_git_account(settings)
    return configured_store(settings)


def _ask(work: Coroutine[object, object, T]) -> T:
    use_server()
    return wait_for(work)


class Run:
    """A handle on one run; every call asks the server anew.

    Attributes:
        id: the flow run's id.
    """

    def __init__(self, id: str) -> None:
        self.id = id

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    @property
    def info(self) -> RunInfo:
        """All that is known of the run now."""
        return _ask(runs.show_run(self.id, _store()))

    @property
    def state(self) -> RunState:
        """Where the run stands now."""
        return self.info.state

    @property
    def metrics(self) -> JsonObject:
        """The `metrics.json` that the run left; nothing until it is over."""
        return self.info.metrics

    def wait(self, timeout: float | None = None, *, check: bool = True) -> RunInfo:
        """Wait until the run is over.

        Args:
            timeout: seconds; None waits for ever.
            check: raise if it did not complete.

        Raises:
            TimeoutError: it is not over by then; it goes on.
            RunFailed: it failed, crashed or was cancelled; the message says why.
        """
        info = _ask(runs.wait_run(self.id, _store(), timeout=timeout))
        return info.completed() if check else info

    def logs(self) -> str:
        """The program's own output so far."""

        async def collect() -> bytes:
            return b"".join([chunk async for chunk in runs.read_log(self.id, _store())])

        return _ask(collect()).decode(errors="replace")

    def outputs(self, directory: str | Path) -> list[OutputFile]:
        """Copy what the run left into a folder, verified.

        Raises:
            NotFound: it left nothing yet.
        """
        return _ask(runs.fetch_outputs(self.id, _store(), Path(directory)))

    def output_url(self, path: str = "") -> str:
        """`outputs://…`: what the run left, or a file or folder of it, to be another run's dataset.

        Raises:
            BadInput: it is not over.
        """
        return self.info.output_url(path)

    def cancel(self) -> RunState:
        """Ask for the run's end.

        Raises:
            Refused: it is over already.
        """
        return _ask(runs.cancel_run(self.id))


def find_run(reference: str) -> Run:
    """A run by its id or name.

    Raises:
        NotFound: there is none.
    """
    return Run(_ask(runs.show_run(reference, _store())).id)


def submit(job: str | JobVersion, **keywords: Unpack[Keywords]) -> Run:
    """Put a job on a launch queue.

    Args:
        job: a version, or name, name:v3, name:alias, name@sha256:…
        keywords: `queue`, `parameters`, `variables`, `datasets` and the rest of `Keywords`.

    Raises:
        NotFound, BadInput, Refused, Unavailable: as their messages say; then nothing was enqueued.
    """
    return Run(str(_ask(_submit(submission_of(job, keywords), _store())).id))


def submit_all(job: str | JobVersion, parameter_sets: Sequence[JsonObject], **keywords: Unpack[Keywords]) -> list[Run]:
    """Put a job on a launch queue once for each set of parameters, in this order: all of them, or none.

    Args:
        job: as in `submit`.
        parameter_sets: of each run; what a set leaves out is as in `parameters`, or as captured.
        keywords: as in `submit`, for all of them; `name` gets the place behind it. `key` is the batch's: after an error
            repeat the call with the same, to complete it.

    Raises:
        NotFound, BadInput, Refused: as their messages say, with the place of the run; then nothing was enqueued.
        Unavailable: the server did not answer; the message says with which key to repeat it.
    """
    common = submission_of(job, keywords)
    runs = _ask(submit_batch(spread(common, parameter_sets), _store(), key=common.key))
    return [Run(str(run.id)) for run in runs]


def capture_folder(
    path: str | Path, entrypoint: Sequence[str], *, name: str | None = None, **choices: Unpack[Choices]
) -> JobVersion:
    """Capture a folder as a job, without running it: its git work tree if it is in one, else its files.

    Args:
        path: the folder.
        entrypoint: the command, as an argument vector.
        name: the job's name; default: the script's stem.
        choices: `python`, `dockerfile`, `base_image`, `build_context`, `schema` (see `Choices`).

    Raises:
        CaptureError: something in it cannot be carried; the message names it.
    """
    return capture.capture_folder(path, entrypoint, store=_store(), name=name, **choices)


def capture_code(
    path: str | Path, entrypoint: Sequence[str], *, name: str | None = None, **choices: Unpack[Choices]
) -> JobVersion:
    """Capture a code directory as a job, without running it.

    Raises:
        CaptureError: something in it cannot be carried; the message names it.
    """
    return capture.capture_code(Path(path), entrypoint, store=_store(), name=name, **choices)


def capture_git(
    source: str | Path,
    entrypoint: Sequence[str],
    *,
    name: str | None = None,
    ref: str | None = None,
    **choices: Unpack[Choices],
) -> JobVersion:
    """Capture a git repository (URL or path) as a job, without running it.

    Raises:
        CaptureError: something in it cannot be carried; the message names it.
    """
    return capture.capture_git(source, entrypoint, store=_store(), name=name, ref=ref, **choices)


def capture_image(reference: str, command: Sequence[str] = (), *, name: str | None = None) -> JobVersion:
    """Make a job of a ready image; without a command, of the image's own.

    Raises:
        BadInput: there is no such image, or it has no command.
    """
    return capture.capture_image(reference, command, store=_store(), name=name)
