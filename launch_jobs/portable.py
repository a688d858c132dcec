"""A job as one file that another machine can use without our server, store or git remote; and reading it again.

The file is a zip: `launch-job.json` (what is in it), `blobs/<hex>` (the source as one archive, whatever kind of source
it is), `records/<run>.json`. The same job gives the same bytes on any machine.
"""

from __future__ import annotations

import secrets
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from launch_jobs.capture.code import pack_tree, unpack_archive
from launch_jobs.capture.source import checkout
from launch_jobs.capture.tree import scan_tree
from launch_jobs.errors import BadInput, LaunchError, NotFound
from launch_jobs.job import CaptureRecord, Frozen, GitSource, ImageSource, Job, JobVersion, Origin, tree_digest
from launch_jobs.names import Digest, JobRef, canonical_json, check_name, sha256
from launch_jobs.store.content import digest_file, os_failure
from launch_jobs.store.jobs import JobStore
from launch_jobs.zipped import DamagedZipError, Members, open_zip, write_zip

MANIFEST = "launch-job.json"
LARGEST_BYTES = 8 << 30
"""Of the source in a job file, and of each thing beside it."""

_LARGEST_DOCUMENT = 64 << 20
_SCHEMA_VERSION = 1

Model = TypeVar("Model", bound=BaseModel)


class Item(Frozen):
    """One member of a job file."""

    digest: Digest
    size: int = Field(ge=0)


class Manifest(Frozen):
    """What is in a job file. Neither version number nor time: those are the store's, not the job's."""

    kind: Literal["launch-job"] = "launch-job"
    schema_version: Literal[1] = 1
    name: str
    digest: Digest
    job: Job
    origin: Origin
    members: dict[str, Item] = Field(description="By name: all but the manifest.")


class Exported(Frozen):
    """A written job file."""

    path: str
    size: int
    digest: Digest = Field(description="Of the file.")


class Imported(Frozen):
    """A job that came out of a file."""

    version: JobVersion
    new: bool = Field(description="The store did not have it under this name.")


def export_job(version: JobVersion, store: JobStore, path: Path) -> Exported:
    """Write a job version with its source, carried packages and datasets, and its capture records into a new file.

    Of objects in S3 the list travels, with their versions; another run's outputs are only named.

    Raises:
        BadInput: the file is there already, or something of the job is too large for one.
        StoreError: something of the job is missing or damaged, or the file cannot be written.
        Unavailable: the remote that has the source does not answer.
    """
    if path.exists() or path.is_symlink():
        raise BadInput(f"{path} is there already", do="Name a new file, or remove it")
    part = path.with_name(f".launch-{secrets.token_hex(8)}.part")
    with tempfile.TemporaryDirectory(prefix="launch-jobs-export-") as folder:
        origin, members = _members(version, store, Path(folder))
        try:
            items = {name: _item(content) for name, content in members.items()}
            manifest = Manifest(name=version.name, digest=version.digest, job=version.job, origin=origin, members=items)
            write_zip(part, {MANIFEST: _bytes(manifest), **members})
            part.rename(path)
        except OSError as error:
            raise os_failure(f"cannot write {path}", error) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return Exported(path=str(path.absolute()), size=path.stat().st_size, digest=digest_file(path))


def import_job(path: Path, store: JobStore, *, name: str | None = None) -> Imported:
    """Keep the job of a file that `export_job` wrote; again is no change. Nothing of it is run.

    Args:
        path: the file; anyone may have written it.
        store: takes the job, after everything in the file is proven.
        name: of the job here; None: the name it had.

    Raises:
        BadInput: it is no such file, of a newer schema, damaged, or holds anything that an export never writes.
    """
    if name is not None:
        check_name("job", name)
    _check_kind(path)
    with tempfile.TemporaryDirectory(prefix="launch-jobs-import-") as folder:
        try:
            with open_zip(path) as members:
                manifest = _manifest(members)
                records = _records(members, manifest)
                blobs = [*_archive(members, manifest, Path(folder)), *_beside(members, manifest, Path(folder))]
        except (DamagedZipError, tarfile.TarError, OSError, ValueError, LaunchError) as error:
            said = error.what if isinstance(error, LaunchError) else str(error)
            raise BadInput(f"{path} cannot be imported: {said}", do="Export the job again; nothing was kept") from error
        return _keep(store, name or manifest.name, manifest, blobs, records)


def _members(version: JobVersion, store: JobStore, folder: Path) -> tuple[Origin, dict[str, Path | bytes]]:
    """Where the source is to be had, and everything that goes into the file, in its order."""
    members: dict[str, Path | bytes] = {}
    for digest in _carried(version.job, version.origin):
        members[_blob(digest)] = file = folder / digest.removeprefix("sha256:")
        if not file.exists():  # the same wheel twice
            store.get_blob(digest, file)
            _check_size(file, f"What {version.label} carries")
    members |= {f"records/{record.run}.json": _bytes(record) for record in store.records(version)}
    origin = Origin(datasets=version.origin.datasets)
    if isinstance(version.job.source, ImageSource):
        return origin, members
    checkout(version, store, folder / "tree")
    archive = pack_tree(folder / "tree", folder / "source.tar")
    _check_size(archive, f"The source of {version.label}")
    digest = digest_file(archive)
    known = {"remote": version.origin.remote, "archive": digest, "notes": version.origin.notes}
    return origin.model_copy(update=known), {_blob(digest): archive, **members}


def _carried(job: Job, origin: Origin) -> list[Digest]:
    """Blobs beside the source: packages that no index has, and datasets."""
    datasets = [one.blob for one in origin.datasets.values() if one.blob]
    return [*job.environment.wheels.values(), *datasets]


def _check_size(file: Path, what: str) -> None:
    if file.stat().st_size > LARGEST_BYTES:
        raise BadInput(
            f"{what} is larger than {LARGEST_BYTES:,} bytes", do="Keep large data in S3 (--dataset NAME=s3://…)"
        )


def _check_kind(path: Path) -> None:
    if path.is_file():
        return
    if not path.is_dir():
        raise BadInput(f"There is no file {str(path)!r}", do="Name a file that `launch job export` wrote")
    made_by = next((tool for tool, marks in _FOREIGN.items() if any(any(path.glob(mark)) for mark in marks)), None)
    what = f"a folder of {made_by}, not a job file" if made_by else "a folder"
    raise BadInput(f"{str(path)!r} is {what}", do="Name a file that `launch job export` wrote")


_FOREIGN = {
    "W&B": ("*.wandb", "wandb-job.json", "files/wandb-metadata.json", "wandb-metadata.json", "run-*/*.wandb"),
    "MLflow": ("MLproject", "MLmodel", "meta.yaml", "[0-9]*/meta.yaml"),
}
"""Tool → what lies in its folders."""


def _manifest(members: Members) -> Manifest:
    manifest = _document(members.read(MANIFEST, limit=_LARGEST_DOCUMENT), Manifest)
    check_name("job", manifest.name)
    if manifest.job.digest != manifest.digest:
        raise DamagedZipError(f"its job is {manifest.job.digest}, not {manifest.digest}")
    if set(members.infos) != {MANIFEST, *manifest.members}:
        raise DamagedZipError("it holds other members than it lists")
    archive, image = manifest.origin.archive, isinstance(manifest.job.source, ImageSource)
    if manifest.origin.bundle or manifest.origin.patch or image is not (archive is None):
        raise DamagedZipError("its source is not one archive")
    if not {*manifest.origin.datasets} <= {one.name for one in manifest.job.datasets}:
        raise DamagedZipError("it holds datasets that its job does not declare")
    wanted = {_blob(digest) for digest in (archive, *_carried(manifest.job, manifest.origin)) if digest}
    if wanted != {name for name in manifest.members if not name.startswith("records/")}:
        raise DamagedZipError("it holds something other than a source, wheels, datasets and records")
    return manifest


def _records(members: Members, manifest: Manifest) -> list[CaptureRecord]:
    found: list[CaptureRecord] = []
    for name, item in manifest.members.items():
        if name.startswith("records/"):
            content = members.read(name, limit=_LARGEST_DOCUMENT)
            record = _document(content, CaptureRecord)
            if _item(content) != item or name != f"records/{check_name('run', record.run)}.json":
                raise DamagedZipError(f"{name!r} is not the record that was written")
            found.append(record)
    return found


def _beside(members: Members, manifest: Manifest, folder: Path) -> list[Path]:
    """The wheels and datasets that the job carries."""
    carried = {*_carried(manifest.job, manifest.origin)} - {manifest.origin.archive}
    return [_extract(members, manifest, digest, folder) for digest in sorted(carried)]


def _extract(members: Members, manifest: Manifest, digest: Digest, folder: Path) -> Path:
    """A blob out of the file, proven."""
    name, into = _blob(digest), folder / digest.removeprefix("sha256:")
    members.extract(name, into, limit=LARGEST_BYTES)
    if _item(into) != manifest.members[name] or manifest.members[name].digest != digest:
        raise DamagedZipError(f"{name!r} is not what was written")
    return into


def _archive(members: Members, manifest: Manifest, folder: Path) -> list[Path]:
    """The source's archive, proven to give the job's source tree; none for an image."""
    source = manifest.job.source
    if isinstance(source, ImageSource) or manifest.origin.archive is None:
        return []
    archive = _extract(members, manifest, manifest.origin.archive, folder)
    tree = folder / "tree"
    tree.mkdir()
    unpack_archive(archive, tree, outward=isinstance(source, GitSource))
    if tree_digest(list(scan_tree(tree))) != source.tree:
        raise DamagedZipError(f"its source is not {source.tree}")
    return [archive]


def _keep(
    store: JobStore, name: str, manifest: Manifest, blobs: Sequence[Path], records: Sequence[CaptureRecord]
) -> Imported:
    """Content first, so that a version that is there is whole."""
    try:
        present = store.resolve(JobRef(name, manifest.digest))
    except NotFound:
        present = None
    if present is None or present.origin.archive == manifest.origin.archive:
        for blob in blobs:
            store.put_blob(blob)
    version = store.add(name, manifest.job, manifest.origin)
    for record in records:
        store.add_record(version, record)
    return Imported(version=version, new=present is None)


def _document(content: bytes, model: type[Model]) -> Model:
    parsed: object = from_json(content, allow_inf_nan=False)
    match parsed:
        case {"schema_version": int(outer), "job": {"schema_version": int(inner)}}:
            if max(outer, inner) > _SCHEMA_VERSION:
                raise DamagedZipError(f"it was written by a newer Launch Jobs (schema {max(outer, inner)}): upgrade")
        case _:
            pass
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DamagedZipError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _bytes(model: BaseModel) -> bytes:
    return canonical_json(model.model_dump(mode="json", by_alias=True))


def _item(content: Path | bytes) -> Item:
    if isinstance(content, bytes):
        return Item(digest=sha256(content), size=len(content))
    return Item(digest=digest_file(content), size=content.stat().st_size)


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.removeprefix('sha256:')}"
