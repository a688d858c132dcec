"""Datasets of a run: what an earlier run left, named by a URL, checked, and fetched for an attempt."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from launch_jobs.errors import BadInput, NotFound
from launch_jobs.job import Frozen
from launch_jobs.run import OutputFile, OutputsUrl
from launch_jobs.store.jobs import JobStore

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class FoundDataset(Frozen):
    """A dataset whose files are known to be in the store.

    Attributes:
        name: an identifier, by which the program finds it.
        url: where it comes from.
        files: its files, their paths relative to the dataset.
        file: the name of its only file, if the URL names a file and not a folder.
    """

    name: str
    url: OutputsUrl
    files: tuple[OutputFile, ...]
    file: str | None = None


def find_datasets(store: JobStore, datasets: Mapping[str, str]) -> tuple[FoundDataset, ...]:
    """Look up what a run is given: nothing is fetched yet.

    Args:
        store: has what the other runs left.
        datasets: name → `outputs://<run id>/<attempt>[/<path>]`.

    Raises:
        BadInput: a name is no identifier, two names differ by case only, or a URL is none.
        NotFound: no such run or attempt has ended, or it left nothing there; says what it left.
    """
    _check_names(datasets)
    return tuple(_find(store, name, OutputsUrl.parse(url)) for name, url in sorted(datasets.items()))


def fetch_datasets(
    store: JobStore, datasets: tuple[FoundDataset, ...], into: Path, is_cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Write datasets into a folder, each in a folder of its name; whatever was there is replaced.

    Args:
        store: has them.
        datasets: as found there.
        into: the folder.
        is_cancelled: asked before each file; once it says yes, the rest stays out.

    Raises:
        StoreError: a file is not what the run left.
        Unavailable: the store does not answer, or the disk is full.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True, mode=0o700)
    for dataset in datasets:
        (into / dataset.name).mkdir()
        for file in dataset.files:
            if is_cancelled():
                return
            store.get_output(dataset.url.run, dataset.url.attempt, file, into / dataset.name / file.path)


def _check_names(names: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name[:80]!r} cannot name a dataset", do="Use A-Z a-z 0-9 _, no digit first")
        other = seen.setdefault(name.upper(), name)
        if other != name:
            raise BadInput(f"the datasets {other!r} and {name!r} would have one variable", do="Rename one of them")


def _find(store: JobStore, name: str, url: OutputsUrl) -> FoundDataset:
    outcome = store.outcome(url.run, url.attempt)
    if outcome is None:
        raise NotFound(
            f"dataset {name!r}: attempt {url.attempt} of run {url.run} has no outputs in this store",
            do="Wait until it is over; `launch show` tells its attempt",
        )
    inside = {file.path: file for file in outcome.outputs.files}
    if url.path in inside:
        only = PurePosixPath(url.path).name
        files = (inside[url.path].model_copy(update={"path": only}),)
        return FoundDataset(name=name, url=url, files=files, file=only)
    start = f"{url.path}/" if url.path else ""
    files = tuple(
        file.model_copy(update={"path": path.removeprefix(start)})
        for path, file in inside.items()
        if path.startswith(start)
    )
    if not files:
        left = ", ".join([*inside][:5]) or "nothing"
        raise NotFound(f"dataset {name!r}: {url} does not exist", do=f"The run left {left}")
    return FoundDataset(name=name, url=url, files=files)
