"""Capture a folder without git as one archive, and write it again."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from launch_jobs.capture.ignore import IgnoreRules, is_compiled_module
from launch_jobs.capture.limits import Limits, Meter
from launch_jobs.capture.mounts import kernel_mounts, mount_notes
from launch_jobs.capture.secrets import check_secrets
from launch_jobs.capture.tree import (
    Blobs,
    FileChangedError,
    SeenFile,
    Snapshot,
    SpecialFileError,
    Stamp,
    check_link,
    check_unchanged,
    copy_seen,
    leaves,
    see,
    stamp_of,
    walk,
)
from launch_jobs.errors import BadInput, CaptureError, StoreError
from launch_jobs.job import CodeSource, GitSource, JobVersion, Origin, TreeEntry, tree_digest


@dataclass(frozen=True, slots=True)
class _ArchiveContent:
    """Captured content in our own copy of the archive."""

    folder: tempfile.TemporaryDirectory[str]
    archive: tarfile.TarFile

    def rebuild(self, source: GitSource | CodeSource, origin: Origin, store: Blobs, into: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="launch-jobs-proof-") as folder:
            if origin.archive is None:
                raise StoreError(f"the tree {source.tree} has no archive")
            store.get_blob(origin.archive, Path(folder) / "source.tar")
            unpack_archive(Path(folder) / "source.tar", into)

    def read(self, entry: TreeEntry) -> bytes:
        member = self.archive.getmember(entry.path)
        if member.issym():
            return os.fsencode(member.linkname)
        data = self.archive.extractfile(member)
        return data.read() if data else b""

    def close(self) -> None:
        self.archive.close()
        self.folder.cleanup()


def snapshot_code(
    directory: Path, store: Blobs, *, without: Collection[str] = (), limits: Limits | None = None
) -> Snapshot:
    """Capture the files of a folder, ignored ones excepted; the archive is in the store afterwards.

    Args:
        directory: the source root.
        store: takes the archive.
        without: paths relative to the root that are not source (outputs of earlier tracked runs).
        limits: most that the files may be; None: the defaults.

    Raises:
        CaptureError: something cannot be carried exactly; names it and says what to do.
        Refused: a file holds a secret.
    """
    root = directory.resolve()
    last = None
    for _ in range(2):
        folder = tempfile.TemporaryDirectory(prefix="launch-jobs-source-")
        try:
            limits = limits or Limits()
            seen, notes = _look(root, frozenset(without), Meter(limits, root))
            notes = (*notes, *check_secrets(root, seen, limits.secret_files))
            archive = _pack(root, seen, Path(folder.name) / "source.tar")
            check_unchanged(root, {one.path: one.stamp for one in seen if not one.elsewhere})
            origin = Origin(archive=store.put_blob(archive), notes=notes)
            return _snapshot(root, seen, origin, _ArchiveContent(folder, tarfile.open(archive)))
        except FileChangedError as error:
            folder.cleanup()
            last = error
        except BaseException:
            folder.cleanup()
            raise
    raise CaptureError(
        f"{str(root / str(last))!r} keeps changing while it is captured",
        do="Ignore it (.launchignore), or stop its writer",
    ) from last


def checkout_code(version: JobVersion, store: Blobs, into: Path) -> None:
    """Write the tree of a job whose origin is an archive into an empty folder. The caller compares the tree's digest.

    Raises:
        StoreError: the archive is missing, damaged, or holds anything that a snapshot never writes.
    """
    digest = version.origin.archive
    if digest is None:
        raise BadInput(f"job {version.reference} has no archive of its source")
    with tempfile.TemporaryDirectory(prefix="launch-jobs-checkout-") as folder:
        archive = Path(folder) / "source.tar"
        store.get_blob(digest, archive)
        try:
            unpack_archive(archive, into, outward=isinstance(version.job.source, GitSource))
        except (tarfile.TarError, OSError, ValueError) as error:
            raise StoreError(f"the archive of job {version.reference} cannot be unpacked: {error}") from error


def pack_tree(root: Path, archive: Path) -> Path:
    """Write every file of a folder, ignored ones too, into an archive as snapshots of folders have it; return it."""
    seen = (see(root, path) for path in sorted(walk(root)))
    return _pack(root, [one for one in seen if one], archive)


def unpack_archive(archive: Path, into: Path, *, outward: bool = False) -> None:
    """Write an archive's files into an empty folder, then its links, so that nothing is ever written through a link.

    Stricter than tarfile's `data` filter, which Python 3.11.0 to 3.11.3 do not have.

    Args:
        archive: a tar file of anyone's.
        into: the folder.
        outward: links may point outside, as git keeps them.

    Raises:
        StoreError: it holds anything that a snapshot never writes; nothing was written then.
        tarfile.TarError, OSError, ValueError: it is damaged, or cannot be written.
    """
    with tarfile.open(archive, "r:") as opened:
        members = opened.getmembers()
        links = {member.name for member in members if member.issym()}
        for member in members:
            _check_member(member, links, outward=outward)
        for member in sorted(members, key=lambda one: one.issym()):
            _write(opened, member, into / member.name)


def _look(root: Path, without: frozenset[str], meter: Meter) -> tuple[list[SeenFile], tuple[str, ...]]:
    """Weigh every file that is source, then read it; notes on what no archive can hold."""
    paths: list[str] = []
    mounts, rules, instead = kernel_mounts(root), IgnoreRules(root), meter.limits.instead_in(root)
    notes = mount_notes(mounts)
    for path in walk(root, lambda path, is_folder: path not in mounts and rules.keep(path, is_folder)):
        if path in without or path in instead:
            continue
        stamp = _stamp(root, path)
        if stamp is None:
            notes.append(f"{path!r} is a socket, pipe or device, which no job can hold: it is left out.")
            continue
        meter.add(path, stamp[1])
        paths.append(path)
    for path in sorted(_compiled_modules(root, paths).difference(paths, without, instead)):
        meter.add(path, os.lstat(root / path).st_size)
        paths.append(path)
    seen = [_see(root, path) for path in paths]
    for path, file in instead.items():
        if one := see(root, path, elsewhere=file):
            meter.add(path, one.size)
            seen.append(one)
    return sorted(seen, key=lambda one: one.path), tuple(sorted(notes))


def _compiled_modules(root: Path, paths: Collection[str]) -> set[str]:
    """Compiled modules beside source, though `.gitignore` or `.dockerignore` names them: nobody builds them elsewhere.

    What `.launchignore` says stays out: that is meant for us.
    """
    own = IgnoreRules(root, names=(".launchignore",), dockers=False)
    folders = {path.rpartition("/")[0] for path in paths if path.endswith(".py")}
    return {
        path
        for prefix in (f"{folder}/" if folder else "" for folder in folders)
        for one in os.scandir(root / prefix)
        if is_compiled_module(one.name) and one.is_file(follow_symlinks=False)
        if own.keeps_with_parents(path := prefix + one.name)
    }


def _stamp(root: Path, path: str) -> Stamp | None:
    try:
        stamp = stamp_of(f"{root}/{path}")
    except SpecialFileError:
        return None
    if stamp is None:
        raise FileChangedError(path)
    return stamp


def _see(root: Path, path: str) -> SeenFile:
    one = see(root, path)
    if one is None:
        raise FileChangedError(path)
    if one.mode == "link":
        check_link(root, path)
    return one


def _pack(root: Path, seen: list[SeenFile], archive: Path) -> Path:
    """Write a deterministic archive: sorted, without times and owners. The same tree gives the same bytes."""
    with tempfile.TemporaryFile() as content, tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for one in seen:
            content.seek(0)
            content.truncate()
            copy_seen(root, one, content)
            content.seek(0)
            info = tarfile.TarInfo(one.path)
            if one.mode == "link":
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.fsdecode(content.read()), 0o777
            else:
                info.size, info.mode = one.size, 0o755 if one.mode == "755" else 0o644
            tar.addfile(info, content)
    return archive


def _snapshot(root: Path, seen: list[SeenFile], origin: Origin, content: _ArchiveContent) -> Snapshot:
    entries = [one.entry for one in seen]
    return Snapshot(
        source=CodeSource(tree=tree_digest(entries)),
        origin=origin,
        root=root,
        files=tuple(entries),
        content=content,
    )


def _check_member(member: tarfile.TarInfo, links: set[str], *, outward: bool) -> None:
    parts = member.name.split("/")
    plain = (member.isreg() and not member.issparse()) or member.issym()
    if not plain or {"", ".", ".."} & set(parts) or "\0" in member.name:
        raise StoreError(f"the archive holds {member.name!r}, which no snapshot writes")
    if any("/".join(parts[:count]) in links for count in range(1, len(parts))):
        raise StoreError(f"the archive holds {member.name!r} below a link")
    if member.issym() and not outward and leaves(member.name, member.linkname):
        raise StoreError(f"the archive holds the link {member.name!r} to {member.linkname!r}, outside its tree")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        file.symlink_to(member.linkname)
        return
    content = archive.extractfile(member)
    if content is None:
        raise StoreError(f"the archive holds no content for {member.name!r}")
    with content, file.open("xb") as out:
        shutil.copyfileobj(content, out)
    if member.mode & 0o100:
        file.chmod(file.stat().st_mode | 0o111)
