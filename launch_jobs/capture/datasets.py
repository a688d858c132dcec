"""Datasets that a user declares: local data goes into the job store, what lies elsewhere is named by its digest."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from launch_jobs.errors import BadInput, NotFound
from launch_jobs.home import home
from launch_jobs.names import JobRef

if TYPE_CHECKING:
    from launch_jobs.job import Dataset, DatasetOrigin, Origin
    from launch_jobs.store.jobs import JobStore

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NO_DATA = ("/proc", "/sys", "/dev", "/launch")
"""Folders in which a program can be given nothing."""


@dataclass(frozen=True, slots=True)
class Declared:
    """The datasets of a job, all resolved.

    Attributes:
        datasets: sorted by name.
        origins: where each can be had.
        env: variables that name the local ones to a program that runs here.
    """

    datasets: tuple[Dataset, ...] = ()
    origins: dict[str, DatasetOrigin] = field(default_factory=dict[str, "DatasetOrigin"])
    env: dict[str, str] = field(default_factory=dict[str, str])

    def added_to(self, origin: Origin) -> Origin:
        """The origin of a job with these datasets."""
        return origin.model_copy(update={"datasets": self.origins}) if self.origins else origin


def declare_datasets(declared: Mapping[str, str], here: Path, root: Path, store: JobStore) -> Declared:
    """Resolve what a user declares; local files are in the store afterwards.

    Args:
        declared: name → a local file or folder, `s3://bucket/key`, `s3://bucket/prefix/`, `outputs://RUN[/ATTEMPT
            [/PATH]]`, or `job://JOB/NAME`: a dataset of another job.
        here: the folder that relative paths begin at.
        root: the source root; what is inside is expected there, what is not at its own absolute path.
        store: takes the content.

    Raises:
        BadInput: a name is no identifier, two differ by case only, or nothing can be at a path.
        NotFound: a file, object, run or job is not there.
        CaptureError: the data cannot be carried; says why.
        Refused: a file's name says that it holds secrets.
    """
    check_names(declared)
    found = {name: _declare(name, text, here, root, store) for name, text in sorted(declared.items())}
    return Declared(
        datasets=tuple(one for one, _ in found.values()),
        origins={name: origin for name, (_, origin) in found.items()},
        env={
            variable_of(name): str(_absolute(text, here))
            for name, text in declared.items()
            if found[name][0].url.startswith("file:") and "://" not in text
        },
    )


def check_names(names: Mapping[str, object]) -> None:
    """Refuse names that cannot be told apart in the environment.

    Raises:
        BadInput: one is no identifier, or two differ by case only.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name[:80]!r} cannot name a dataset", do="Use A-Z a-z 0-9 _, no digit first")
        other = seen.setdefault(name.upper(), name)
        if other != name:
            raise BadInput(f"the datasets {other!r} and {name!r} would have one variable", do="Rename one of them")


def variable_of(name: str) -> str:
    """The environment variable that names a dataset's path to the program."""
    return f"LAUNCH_DATASET_{name.upper()}"


def _declare(name: str, text: str, here: Path, root: Path, store: JobStore) -> tuple[Dataset, DatasetOrigin]:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return _local(name, text, here, root, store)
    if scheme == "s3":
        from launch_jobs.capture.datasets_s3 import declare_objects

        return declare_objects(name, text, store)
    if scheme == "outputs":
        return _outputs(name, text, store)
    if scheme == "job":
        return _of_job(name, text, rest, store)
    raise BadInput(
        f"dataset {name!r}: nothing is known of {scheme}://",
        do="Name a file, a folder, s3://bucket/key, outputs://RUN or job://JOB/NAME",
    )


def _absolute(text: str, here: Path) -> Path:
    return Path(os.path.abspath(here / Path(text).expanduser()))  # noqa: PTH100 # a link keeps its own name


def _local(name: str, text: str, here: Path, root: Path, store: JobStore) -> tuple[Dataset, DatasetOrigin]:
    from launch_jobs.capture.dataset_archive import pack_dataset
    from launch_jobs.job import Dataset, DatasetOrigin

    path = _absolute(text, here)
    if not path.is_file() and not path.is_dir():
        raise NotFound(f"dataset {name!r}: there is no file or folder {str(path)!r}", do="Mend the path")
    expected = _expected(text, path, root)
    if expected in {".", "/"} or any(PurePosixPath(expected).is_relative_to(one) for one in _NO_DATA):
        raise BadInput(f"dataset {name!r}: a program can be given nothing at {str(path)!r}", do="Name the data in it")
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home(), prefix=".dataset-") as folder:  # /tmp may be memory
        archive = Path(folder) / "dataset.tar"
        packed = pack_dataset(path.resolve(), archive, path.name)
        blob = store.put_blob(archive)
    dataset = Dataset(name=name, url=f"file:{expected}", digest=packed.digest, is_file=path.is_file())
    return dataset, DatasetOrigin(declared=text, blob=blob, files=packed.files, size=packed.size)


def _expected(text: str, path: Path, root: Path) -> str:
    """Where the program expects it: relative to the source root; else as it was typed, if that does not lead up."""
    for one in (path, path.parent.resolve() / path.name):
        if one.is_relative_to(root):
            return one.relative_to(root).as_posix()
    typed = os.path.normpath(text)
    return path.as_posix() if typed.startswith(("/", "~", "..")) else typed


def _outputs(name: str, text: str, store: JobStore) -> tuple[Dataset, DatasetOrigin]:
    from launch_jobs.job import Dataset, DatasetOrigin, TreeEntry, tree_digest
    from launch_jobs.run import OutputsUrl
    from launch_jobs.store.left import find_left

    run = text.removeprefix("outputs://").rstrip("/")
    if "/" not in run:  # no attempt: the latest that is over
        outcome = store.outcome(run)
        if outcome is None:
            raise NotFound(f"dataset {name!r}: run {run} has no outputs in this store", do="Wait until it is over")
        text = f"outputs://{run}/{outcome.attempt}"
    url = OutputsUrl.parse(text)
    files, only = find_left(store, name, url)
    digest = tree_digest([TreeEntry(path=file.path, mode="644", digest=file.digest) for file in files])
    dataset = Dataset(name=name, url=str(url), digest=digest, is_file=only is not None)
    return dataset, DatasetOrigin(declared=text, files=len(files), size=sum(file.size for file in files))


def _of_job(name: str, text: str, rest: str, store: JobStore) -> tuple[Dataset, DatasetOrigin]:
    from launch_jobs.job import DatasetOrigin

    reference, slash, wanted = rest.rpartition("/")
    if not slash:
        raise BadInput(f"dataset {name!r}: {text!r} names no dataset", do="Write job://JOB/NAME")
    version = store.resolve(JobRef.parse(reference))
    found = next((one for one in version.job.datasets if one.name == wanted), None)
    if found is None:
        known = ", ".join(one.name for one in version.job.datasets) or "none"
        raise NotFound(f"dataset {name!r}: {version.label} has no dataset {wanted!r}", do=f"It has {known}")
    origin = version.origin.datasets.get(wanted, DatasetOrigin(declared=text))
    return found.model_copy(update={"name": name}), origin.model_copy(update={"declared": text})
