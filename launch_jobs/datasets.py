"""Datasets of a run, declared by its job or given to this run: found, fetched for an attempt, and checked."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from launch_jobs.capture.dataset_archive import unpack_dataset
from launch_jobs.capture.datasets import check_names
from launch_jobs.errors import BadInput, StoreError
from launch_jobs.job import Dataset, Frozen, JobVersion, TreeEntry, tree_digest
from launch_jobs.locks import locked
from launch_jobs.names import Digest
from launch_jobs.run import OutputFile, OutputsUrl
from launch_jobs.store.content import os_failure
from launch_jobs.store.jobs import JobStore
from launch_jobs.store.left import find_left
from launch_jobs.store.sealed import is_whole, seal

IsCancelled = Callable[[], bool]


class FoundDataset(Frozen):
    """A dataset whose files are known to be in the store.

    Attributes:
        name: an identifier, by which the program finds it.
        url: where it comes from.
        files: its files, their paths relative to the dataset.
        file: the name of its only file, if the URL names a file and not a folder.
        place: where the program expects it, relative to the source root or absolute; None: it asks the variable.
    """

    name: str
    url: OutputsUrl
    files: tuple[OutputFile, ...]
    file: str | None = None
    place: str | None = None


class CarriedDataset(Frozen):
    """A dataset that a job declares, of one blob in the store.

    Attributes:
        name: an identifier, by which the program finds it.
        url: `file:…` or `s3://…`, see `Dataset`.
        digest: what it must be.
        blob: its archive; of S3 objects, their list.
        file: the name of its only file, if it is a file and not a folder.
        place: as in `FoundDataset`.
    """

    name: str
    url: str
    digest: Digest
    blob: Digest
    file: str | None = None
    place: str | None = None


AnyDataset = FoundDataset | CarriedDataset


def find_datasets(
    store: JobStore, datasets: Mapping[str, str], version: JobVersion | None = None
) -> tuple[AnyDataset, ...]:
    """Look up what a run is given: nothing is fetched yet.

    Args:
        store: has what the other runs left.
        datasets: name → `outputs://<run id>/<attempt>[/<path>]`; takes the place of the job's of that name.
        version: the job, which may declare others.

    Raises:
        BadInput: a name is no identifier, two names differ by case only, or a URL is none; or a file would take a
            folder's place.
        NotFound: no such run or attempt has ended, or it left nothing there; says what it left.
        StoreError: the job's own dataset is not in the store.
    """
    own = {one.name: one for one in version.job.datasets} if version else {}
    check_names(dict.fromkeys([*own, *datasets]))
    found: dict[str, AnyDataset] = {
        name: _find(store, name, OutputsUrl.parse(url), own.get(name)) for name, url in datasets.items()
    }
    for name, one in own.items():
        if version and name not in found:
            found[name] = _declared(store, one, version)
    return tuple(found[name] for name in sorted(found))


def fetch_datasets(
    store: JobStore, datasets: Sequence[AnyDataset], into: Path, is_cancelled: IsCancelled = lambda: False
) -> None:
    """Write datasets into a folder, each in a folder of its name; whatever was there is replaced.

    Args:
        store: has them.
        datasets: as found there.
        into: the folder.
        is_cancelled: asked before each file; once it says yes, the rest stays out.

    Raises:
        StoreError: a file is not what the run left, or a dataset is not what the job declares.
        Refused: an object is not in S3 any more, or is another by now.
        Unavailable: the store does not answer, or the disk is full.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True, mode=0o700)
    for dataset in datasets:
        (into / dataset.name).mkdir()
        if isinstance(dataset, CarriedDataset):
            _fetch_carried(store, dataset, into / dataset.name, is_cancelled)
            continue
        for file in dataset.files:
            if is_cancelled():
                return
            store.get_output(dataset.url.run, dataset.url.attempt, file, into / dataset.name / file.path)


def cache_dataset(store: JobStore, dataset: CarriedDataset, cache: Path, is_cancelled: IsCancelled) -> None:
    """Have a dataset in the agent's cache, unchanged since it was checked; it is fetched once.

    Of runs that start together, one fetches it: another's copy must never take the place of one that is mounted.

    Raises:
        as `fetch_datasets`.
    """
    folder = cached_folder(cache, dataset.digest)
    cache.mkdir(parents=True, exist_ok=True, mode=0o755)
    with locked(cache_lock(folder)):
        if is_whole(folder):
            _check_file(dataset, folder)
            return
        new = folder.with_name(f"{folder.name}.new")  # of one name, so that what a killed agent left goes, too
        shutil.rmtree(new, ignore_errors=True)
        try:
            (new / "files").mkdir(parents=True)
            _fetch_carried(store, dataset, new / "files", is_cancelled)
            if not is_cancelled():
                seal(new / "files", folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def dataset_cache(home: Path) -> Path:
    """Where agents of a home keep datasets that are mounted into containers."""
    return home.absolute() / "dataset-cache"


def cached_folder(cache: Path, digest: Digest) -> Path:
    """Where a dataset lies in the cache: by its content alone."""
    return cache / cached_name(digest)


def cached_name(digest: Digest) -> str:
    """What a dataset's folder in a cache is called."""
    return digest.removeprefix("sha256:")


def cache_lock(folder: Path) -> Path:
    """The file that whoever makes or removes a folder of the cache locks; the same for a half fetched one."""
    return folder.with_name(f"{folder.name.removesuffix('.new')}.lock")


def _find(store: JobStore, name: str, url: OutputsUrl, own: Dataset | None) -> FoundDataset:
    files, file = find_left(store, name, url)
    place = place_of(own) if own else None
    if own and place and own.is_file != (file is not None):
        kinds = ("a file", "a folder") if own.is_file else ("a folder", "a file")
        raise BadInput(f"dataset {name!r} of the job is {kinds[0]}, {url} is {kinds[1]}", do=f"Name {kinds[0]}")
    return FoundDataset(name=name, url=url, files=files, file=file, place=place)


def _declared(store: JobStore, one: Dataset, version: JobVersion) -> AnyDataset:
    if one.url.startswith("outputs://"):
        found = _find(store, one.name, OutputsUrl.parse(one.url), None)
        entries = [TreeEntry(path=file.path, mode="644", digest=file.digest) for file in found.files]
        _check(one.name, tree_digest(entries), one.digest)
        return found
    origin = version.origin.datasets.get(one.name)
    if origin is None or origin.blob is None or one.digest is None:
        raise StoreError(f"dataset {one.name!r} of {version.label} is not in the store", do="Capture the job again")
    file = PurePosixPath(one.url.removeprefix("file:")).name if one.is_file else None
    return CarriedDataset(
        name=one.name, url=one.url, digest=one.digest, blob=origin.blob, file=file, place=place_of(one)
    )


def place_of(dataset: Dataset) -> str | None:
    """Where a program expects a dataset, relative to its source root or absolute; None: it asks the variable.

    Raises:
        BadInput: no program can be given anything there (a job that somebody else wrote).
    """
    if not dataset.url.startswith("file:"):
        return None
    place = dataset.url.removeprefix("file:")
    if {"", ".", ".."} & set(place.removeprefix("/").split("/")) or "\0" in place:
        raise BadInput(f"dataset {dataset.name!r}: nothing can be at {place!r}", do="Capture the job again")
    return place


def _fetch_carried(store: JobStore, dataset: CarriedDataset, into: Path, is_cancelled: IsCancelled) -> None:
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".blob-") as folder:
        blob = Path(folder) / "blob"
        store.get_blob(dataset.blob, blob)
        try:
            found = _unpack(dataset, blob, into, is_cancelled)
        except OSError as error:
            raise os_failure(f"cannot write dataset {dataset.name!r}", error) from error
    if found is not None:
        _check(dataset.name, found, dataset.digest)
        _check_file(dataset, into)


def _check_file(dataset: CarriedDataset, folder: Path) -> None:
    """What is put in a file's place is one: a link would be followed there, to whatever this host has."""
    file = folder / (dataset.file or "")
    if dataset.file is not None and (file.is_symlink() or not file.is_file()):
        raise StoreError(f"dataset {dataset.name!r} is not the file {dataset.file!r}", do="Capture the job again")


def _unpack(dataset: CarriedDataset, blob: Path, into: Path, is_cancelled: IsCancelled) -> Digest | None:
    if dataset.url.startswith("s3://"):
        from launch_jobs.store.s3_datasets import fetch_objects

        return fetch_objects(dataset.name, dataset.url, blob, into, is_cancelled)
    try:
        return unpack_dataset(blob, into, is_cancelled)
    except (tarfile.TarError, ValueError) as error:
        raise StoreError(f"dataset {dataset.name!r} cannot be unpacked: {error}", do="Capture the job again") from error


def _check(name: str, found: Digest, wanted: Digest | None) -> None:
    if wanted is not None and found != wanted:
        raise StoreError(
            f"dataset {name!r} is {found}, the job was captured with {wanted}; nothing was started",
            do="Restore the data, or capture the job again",
        )
