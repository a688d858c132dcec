"""What a run left, as something that another run can read: a file, a folder, or all of it."""

from __future__ import annotations

from pathlib import PurePosixPath

from launch_jobs.errors import NotFound
from launch_jobs.run import OutputFile, OutputsUrl
from launch_jobs.store.attempts import AttemptResults


def find_left(store: AttemptResults, name: str, url: OutputsUrl) -> tuple[tuple[OutputFile, ...], str | None]:
    """The files that a URL names, their paths relative to what it names; and the name of the only file, if it is one.

    Args:
        store: has what runs left.
        name: of the dataset, for messages.
        url: which run's, and what of it.

    Raises:
        NotFound: no such run or attempt has ended, or it left nothing there; says what it left.
    """
    outcome = store.outcome(url.run, url.attempt)
    if outcome is None:
        raise NotFound(
            f"dataset {name!r}: attempt {url.attempt} of run {url.run} has no outputs in this store",
            do="Wait until it is over; `launch show` tells its attempt",
        )
    inside = {file.path: file for file in outcome.outputs.files}
    if url.path in inside:
        only = PurePosixPath(url.path).name
        return (inside[url.path].model_copy(update={"path": only}),), only
    start = f"{url.path}/" if url.path else ""
    files = tuple(
        file.model_copy(update={"path": path.removeprefix(start)})
        for path, file in inside.items()
        if path.startswith(start)
    )
    if not files:
        left = ", ".join([*inside][:5]) or "nothing"
        raise NotFound(f"dataset {name!r}: {url} does not exist", do=f"The run left {left}")
    return files, None
