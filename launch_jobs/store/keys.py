"""Where everything lies in the store: names become keys here, and nowhere else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from launch_jobs.errors import BadInput, StoreError
from launch_jobs.names import Digest, check_name

MARKER = "launch-jobs-store"
"""The object that says that this storage is a job store, and of which schema."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})")
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


def check_key(key: str) -> tuple[str, ...]:
    """The parts of a key.

    Raises:
        StoreError: a part is empty, hidden (so also `.` and `..`), too long, or holds any other sign than we use.
    """
    if not is_key(key):
        raise StoreError(f"{key!r} cannot be a key of the job store", do="Keys are made by launch_jobs.store.keys")
    return tuple(key.split("/"))


def is_key(text: str) -> bool:
    """Whether a text could be a key of ours."""
    return all(_PART.fullmatch(part) for part in text.split("/"))


def blob(digest: Digest) -> str:
    """Key of content that is named by its digest alone."""
    return f"blobs/{_fanned(digest)}"


def file(run: str, attempt: int, digest: Digest) -> str:
    """Key of content (an output, a log) that belongs to one attempt and is pruned with it."""
    return f"files/{attempt_part(run, attempt)}/{_fanned(digest)}"


def versions(name: str) -> str:
    """Prefix of a job's versions."""
    return f"versions/{check_name('job', name)}/"


def version(name: str, number: int) -> str:
    """Key of one version."""
    return f"{versions(name)}v{number}"


def deleted_mark(name: str, number: int) -> str:
    """Key of an empty object that says that a version was deleted, so that a listing tells it."""
    return f"{version(name, number)}.deleted"


def deleted_number(key: str) -> int | None:
    """The number that a mark of a deleted version tells; None for another key."""
    return number_of(key.removesuffix(".deleted")) if key.endswith(".deleted") else None


def digests(name: str) -> str:
    """Prefix of a job's digest marks."""
    return f"digests/{check_name('job', name)}/"


def digest_mark(name: str, digest: Digest, number: int) -> str:
    """Key of an empty object that says which version has a digest, so that finding it reads one version, not all."""
    return f"{digests(name)}{hex_of(digest)}.v{number}"


def read_digest_mark(key: str) -> tuple[int, Digest] | None:
    """Version number and digest that a mark tells; None for another key."""
    found = re.fullmatch(r"([0-9a-f]{64})\.v([0-9]{1,9})", PurePosixPath(key).name)
    return (int(found[2]), f"sha256:{found[1]}") if found else None


def aliases(name: str) -> str:
    """Prefix of a job's aliases."""
    return f"aliases/{check_name('job', name)}/"


def alias(name: str, alias: str) -> str:
    """Key of one alias."""
    return f"{aliases(name)}{check_name('job alias', alias)}"


def records(name: str, number: int) -> str:
    """Prefix of a version's capture records."""
    return f"records/{check_name('job', name)}/v{number}/"


def record(name: str, number: int, run: str) -> str:
    """Key of one tracked run's capture record."""
    return f"{records(name, number)}{check_name('run', run)}"


def outcomes(run: str) -> str:
    """Prefix of a run's outcomes."""
    return f"outcomes/{check_name('run', run)}/"


def outcome(run: str, attempt: int) -> str:
    """Key of one attempt's outcome."""
    return f"outcomes/{attempt_part(run, attempt)}"


def logs(run: str) -> str:
    """Prefix of the pointers to a run's logs."""
    return f"logs/{check_name('run', run)}/"


def files(run: str) -> str:
    """Prefix of all content that belongs to a run."""
    return f"files/{check_name('run', run)}/"


def log(run: str, attempt: int) -> str:
    """Key of the pointer to one attempt's log."""
    return f"logs/{attempt_part(run, attempt)}"


def dropped(run: str, attempt: int) -> str:
    """Key of an empty object that says that an attempt's outputs were pruned, though its outcome still names them."""
    return f"dropped/{attempt_part(run, attempt)}"


def all_dropped(run: str) -> str:
    """Prefix of a run's marks of that kind."""
    return f"dropped/{check_name('run', run)}/"


def attempt_part(run: str, attempt: int) -> str:
    """`<run>/<attempt>`, checked.

    Raises:
        BadInput: the run id is no name, or attempts are not counted from 1.
    """
    if attempt < 1:
        raise BadInput(f"attempt {attempt} of run {run}: attempts count from 1")
    return f"{check_name('run', run)}/{attempt}"


def number_of(key: str) -> int | None:
    """The number that a key ends with (`…/v3`, `…/2`); None where it does not, as for a stranger's file."""
    found = _NUMBER.fullmatch(PurePosixPath(key).name.removeprefix("v"))
    return int(found[1]) if found else None


def numbers_of(found: Iterable[str]) -> list[int]:
    """The numbers that keys end with, sorted."""
    return sorted(number for key in found if (number := number_of(key)) is not None)


def attempt_of(key: str) -> tuple[str, int] | None:
    """Run and attempt that an outcome, a log or a file belongs to; None for another key."""
    found = re.fullmatch(r"(?:outcomes|logs|files)/([^/]+)/([1-9][0-9]{0,8})(?:/.*)?", key)
    return (found[1], int(found[2])) if found else None


def is_blob(key: str) -> bool:
    """Whether a key is that of content named by its digest alone."""
    digits = PurePosixPath(key).name
    return bool(_DIGEST.fullmatch(f"sha256:{digits}")) and key == blob(f"sha256:{digits}")


def hex_of(digest: Digest) -> str:
    """The hex digits of a digest.

    Raises:
        BadInput: it is none.
    """
    found = _DIGEST.fullmatch(digest)
    if not found:
        raise BadInput(f"{digest!r} is no digest", do="Expected sha256:<64 hex digits>")
    return found[1]


def check_output_path(path: str) -> None:
    """Refuse a path that could lead out of the folder that outputs are fetched into.

    Raises:
        BadInput: empty, absolute, or with an empty, `.` or `..` part, or a NUL.
    """
    if "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise BadInput(f"output path {path!r} is not a plain relative path", do="Outputs lie inside their folder")


def _fanned(digest: Digest) -> str:
    digits = hex_of(digest)
    return f"{digits[:2]}/{digits}"
