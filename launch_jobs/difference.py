"""What is different between two job versions: their source, byte by byte, and everything else by name. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, JsonValue

from launch_jobs.arguments import properties_of
from launch_jobs.job import CaptureRecord, Distribution, Frozen, Job, JobVersion, TreeEntry
from launch_jobs.names import Digest, canonical_json

LARGEST_TEXT = 1 << 19
"""Bytes of a file of which lines are compared."""

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Side:
    """One job version with what belongs to it.

    Attributes:
        version: itself.
        files: its source tree; empty for an image.
        read: gives at most `LARGEST_TEXT` + 1 bytes of a file of the tree (of a link: its target).
        size: bytes of a file of the tree.
        record: its latest capture record.
    """

    version: JobVersion
    files: Mapping[str, TreeEntry]
    read: Callable[[TreeEntry], bytes]
    size: Callable[[TreeEntry], int]
    record: CaptureRecord | None = None


class Change(Frozen):
    """One named value that differs."""

    name: str
    kind: Kind
    before: JsonValue = None
    after: JsonValue = None


class FileState(Frozen):
    """A file of one of the trees."""

    mode: str
    digest: Digest
    size: int


class FileChange(Frozen):
    """One file that differs."""

    path: str
    kind: Kind
    before: FileState | None = None
    after: FileState | None = None
    diff: tuple[str, ...] = Field(default=(), description="Unified diff; none for binary and very large files.")


class Difference(Frozen):
    """Everything that differs, from one version to another."""

    same: bool = Field(description="Both are one job: the digests are equal.")
    files: tuple[FileChange, ...] = ()
    job: tuple[Change, ...] = Field(default=(), description="Source, command, directory, Dockerfile, base image.")
    environment: tuple[Change, ...] = Field(default=(), description="Python, platform, distributions by name.")
    parameters: tuple[Change, ...] = Field(default=(), description="Schema and option of each parameter.")
    captured: tuple[Change, ...] = Field(default=(), description="Values in the latest capture records.")
    datasets: tuple[Change, ...] = ()


def compare(before: Side, after: Side) -> Difference:
    """The difference from one version to another."""
    old, new = before.version.job, after.version.job
    return Difference(
        same=before.version.digest == after.version.digest,
        files=tuple(_files(before, after)),
        job=_changes(_outline(old), _outline(new)),
        environment=_changes(_environment(old), _environment(new)),
        parameters=_changes(_parameters(old), _parameters(new)),
        captured=_changes(_captured(before), _captured(after)),
        datasets=_changes(_datasets(old), _datasets(new)),
    )


def _changes(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[Change, ...]:
    """By name, in the order of the later one; None is as good as absent."""
    names = dict.fromkeys([*after, *before])
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return tuple(
        Change(name=name, kind=_kind(old, new), before=old, after=new)
        for name, old, new in pairs
        if canonical_json(old) != canonical_json(new)  # `True` is not `1`
    )


def _kind(before: object, after: object) -> Kind:
    if before is None:
        return "added"
    return "removed" if after is None else "changed"


def _outline(job: Job) -> dict[str, JsonValue]:
    source = job.source.model_dump(mode="json", exclude={"tree"})
    return {
        **{f"source {name}" if name != "type" else "source": value for name, value in source.items()},
        "command": list(job.entrypoint.argv),
        "directory": job.entrypoint.directory,
        "dockerfile": job.dockerfile,
        "base image": job.base_image,
    }


def _environment(job: Job) -> dict[str, JsonValue]:
    found = job.environment
    packages: dict[str, JsonValue] = {one.name: _distribution(one) for one in found.distributions}
    return {"python": found.python, "platform": found.platform, **packages}


def _distribution(one: Distribution) -> str:
    return one.version if one.origin == "index" else f"{one.version} ({one.origin} {one.url})"


def _parameters(job: Job) -> dict[str, JsonValue]:
    options = {option.name: option.model_dump(mode="json", exclude_defaults=True) for option in job.inputs.options}
    schemas = properties_of(job.inputs)
    return {
        name: {**schemas.get(name, {}), **({"option": options[name]} if name in options else {})}
        for name in {**schemas, **options}
    }


def _captured(side: Side) -> dict[str, JsonValue]:
    return dict(side.record.parameters) if side.record else {}


def _datasets(job: Job) -> dict[str, JsonValue]:
    return {one.name: one.url if one.digest is None else f"{one.url} {one.digest}" for one in job.datasets}


def _files(before: Side, after: Side) -> list[FileChange]:
    paths = sorted({*before.files, *after.files})
    pairs = ((path, before.files.get(path), after.files.get(path)) for path in paths)
    return [
        FileChange(
            path=path,
            kind=_kind(old, new),
            before=_state(before, old),
            after=_state(after, new),
            diff=_diff(path, _content(before, old), _content(after, new)),
        )
        for path, old, new in pairs
        if old != new
    ]


def _state(side: Side, entry: TreeEntry | None) -> FileState | None:
    return FileState(mode=entry.mode, digest=entry.digest, size=side.size(entry)) if entry else None


def _content(side: Side, entry: TreeEntry | None) -> bytes:
    return side.read(entry) if entry else b""


def _diff(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    """Lines of a unified diff, none if one of the two is no text, or too long."""
    try:
        if max(len(before), len(after)) > LARGEST_TEXT or b"\0" in before + after:
            return ()
        old, new = (content.decode().splitlines(keepends=True) for content in (before, after))
    except UnicodeDecodeError:
        return ()
    lines = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    return tuple(_marked(line) for line in lines)


def _marked(line: str) -> str:
    """Without its line end; that a last line has none is said as git does."""
    return line.removesuffix("\n") if line.endswith("\n") else f"{line}\n\\ No newline at end of file"
