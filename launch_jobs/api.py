"""The Python API: plain calls over capture, queues and runs, for scripts, notebooks and flows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launch_jobs import capture, runs
from launch_jobs.client import wait_for
from launch_jobs.errors import RunFailed
from launch_jobs.job import JobVersion, JsonObject, Overrides
from launch_jobs.run import OutputFile, RunInfo, RunState
from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.submit import Submission
from launch_jobs.submit import submit as _submit


def _store() -> JobStore:
    return open_store(load_settings().store_url)


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
        return wait_for(runs.show_run(self.id, _store()))

    @property
    def state(self) -> RunState:
        """Where the run stands now."""
        return self.info.state

    def wait(self, timeout: float | None = None, *, check: bool = True) -> RunInfo:
        """Wait until the run is over.

        Args:
            timeout: seconds; None waits for ever.
            check: raise if it did not complete.

        Raises:
            TimeoutError: it is not over by then; it goes on.
            RunFailed: it failed, crashed or was cancelled; the message says why.
        """
        info = wait_for(runs.wait_run(self.id, _store(), timeout=timeout))
        if check and info.state is not RunState.COMPLETED:
            raise RunFailed(
                f"Run {info.name!r} is {info.state.value}: {info.reason}", do=f"See `launch logs {self.id}`"
            )
        return info

    def logs(self) -> str:
        """The program's own output so far."""

        async def collect() -> bytes:
            return b"".join([chunk async for chunk in runs.read_log(self.id, _store())])

        return wait_for(collect()).decode(errors="replace")

    def outputs(self, directory: str | Path) -> list[OutputFile]:
        """Copy what the run left into a folder, verified.

        Raises:
            NotFound: it left nothing yet.
        """
        return wait_for(runs.fetch_outputs(self.id, _store(), Path(directory)))

    def cancel(self) -> RunState:
        """Ask for the run's end.

        Raises:
            Refused: it is over already.
        """
        return wait_for(runs.cancel_run(self.id))


def find_run(reference: str) -> Run:
    """A run by its id or name.

    Raises:
        NotFound: there is none.
    """
    return Run(wait_for(runs.show_run(reference, _store())).id)


def submit(
    job: str | JobVersion,
    *,
    queue: str | None = None,
    parameters: JsonObject | None = None,
    variables: JsonObject | None = None,
    **options: object,
) -> Run:
    """Put a job on a launch queue.

    Args:
        job: a version, or name, name:v3, name:alias, name@sha256:…
        queue: None: the job's default queue.
        parameters: hyperparameters; what is not given keeps its captured value.
        variables: job variables (resources), as the queue declares them.
        options: `args`, `env`, `entrypoint`, `timeout_s` of `Overrides`; `priority`, `name`, `key` of `Submission`.

    Raises:
        NotFound, BadInput, Refused, Unavailable: as their messages say; then nothing was enqueued.
    """
    own = {name: options.pop(name) for name in ("priority", "name", "key") if name in options}
    submission = Submission.model_validate(
        {
            "job": job.reference if isinstance(job, JobVersion) else job,
            "queue": queue,
            "overrides": Overrides.of(parameters=parameters or {}, **options),
            "variables": variables or {},
            **own,
        }
    )
    return Run(str(wait_for(_submit(submission, _store())).id))


def capture_code(path: str | Path, entrypoint: Sequence[str], *, name: str | None = None) -> JobVersion:
    """Capture a code directory as a job, without running it.

    Raises:
        CaptureError: something in it cannot be carried; the message names it.
    """
    return capture.capture_code(Path(path), entrypoint, store=_store(), name=name)


def capture_git(
    source: str | Path, entrypoint: Sequence[str], *, name: str | None = None, ref: str | None = None
) -> JobVersion:
    """Capture a git repository (URL or path) as a job, without running it.

    Raises:
        CaptureError: something in it cannot be carried; the message names it.
    """
    return capture.capture_git(source, entrypoint, store=_store(), name=name, ref=ref)
