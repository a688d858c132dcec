"""Jobs to export, and job files taken apart and put together as a stranger would."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launch_jobs.capture import capture_git
from launch_jobs.capture.tree import scan_tree
from launch_jobs.job import CaptureRecord, Host, Job, JobVersion, tree_digest
from launch_jobs.names import Digest, sha256
from launch_jobs.store.jobs import JobStore

Manifest = dict[str, Any]
Parts = dict[str, bytes]
"""Members of a job file by name."""

RECORD = CaptureRecord(
    run="run-1",
    parameters={"lr": 0.1},
    argv=("python", "train.py"),
    exit_code=0,
    started="2025-01-01T00:00:00Z",
    duration_s=1.0,
    host=Host(name="here", system="Linux", cpus=2),
)


def git(folder: Path, *arguments: str) -> None:
    """Run git as a user would."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def repository(root: Path) -> Path:
    """A repository with a program, a link out of it, a file that is ignored but tracked, and an uncommitted change."""
    root.mkdir()
    (root / "train.sh").write_text("echo trained\n")
    (root / "train.sh").chmod(0o755)
    (root / "data").symlink_to("/mnt/data")
    (root / "kept.log").write_text("kept\n")
    (root / ".gitignore").write_text("*.log\n")
    git(root, "init")
    git(root, "add", "--all", "--force")
    git(root, "commit", "-m", "one")
    (root / "train.sh").write_text("echo trained twice\n")
    return root


def git_job(root: Path, store: JobStore) -> JobVersion:
    """A job of that repository, with the record of a tracked run."""
    version = capture_git(repository(root), ["sh", "train.sh"], store=store, name="train")
    store.add_record(version, RECORD)
    return version


def parts_of(file: Path) -> Parts:
    """The members of a job file."""
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def put_together(file: Path, parts: Mapping[str, bytes]) -> Path:
    """A zip file of stored members, as anyone can write it."""
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in parts.items():
            opened.writestr(name, content)
    return file


def with_manifest(parts: Parts, change: Callable[[Manifest], None]) -> Parts:
    """The same members but for a change in the manifest."""
    manifest: Manifest = json.loads(parts["launch-job.json"])
    change(manifest)
    return {**parts, "launch-job.json": json.dumps(manifest).encode()}


def with_archive(parts: Parts, archive: bytes, tree: Digest | None = None) -> Parts:
    """The same job with another source, everything that says so made consistent."""
    (old,) = (name for name in parts if name.startswith("blobs/"))
    new = f"blobs/{sha256(archive)[7:]}"

    def change(manifest: Manifest) -> None:
        manifest["origin"]["archive"] = sha256(archive)
        manifest["members"].pop(old)
        manifest["members"][new] = {"digest": sha256(archive), "size": len(archive)}
        manifest["job"]["source"]["tree"] = tree or manifest["job"]["source"]["tree"]
        manifest["digest"] = Job.model_validate(manifest["job"]).digest

    return with_manifest({new: archive, **{name: data for name, data in parts.items() if name != old}}, change)


def tar(*members: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    """A tar file; regular members have the content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            opened.addfile(member, io.BytesIO(content))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """One tar member."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def tree_of(folder: Path) -> Digest:
    """The digest of what is in a folder."""
    return tree_digest(list(scan_tree(folder)))
