"""The way of commits to and from remotes: which remote has one, what is bundled because none has it, and fetching."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from launch_jobs.capture.git import TRANSPORTS, Git, GitFailedError, Repository
from launch_jobs.capture.git_account import account_environment
from launch_jobs.capture.remote_way import allowed_remote, is_allowed, way_to
from launch_jobs.errors import CaptureError, Refused, StoreError, Unavailable

COMMIT_REF = "refs/launch/commit"
"""Name of a job's commit in bundles and in scratch repositories."""

_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# What a server says that serves branches only, or not the commit; the whole history may still have it.
_NOT_BY_ID = ("not our ref", "unadvertised object", "does not support shallow", "couldn't find remote ref")


LARGEST_FETCH_BYTES = 16 << 30
"""Of what one fetch may bring."""

_FETCH_S = 3600.0
"""How long a fetch may take; one that brings less than 1 kB/s for a minute is given up before."""

_ANSWER_S = 10.0
"""How long a remote may take to say that it is there."""

_ADVICE = (
    "Check the address, and the credentials git has on this machine; "
    "or name a launch-git-credentials block in the setting git_credentials"
)


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote of the user's repository.

    Attributes:
        name: as the user calls it.
        url: what others can fetch from, without credentials.
        has_commit: one of its branches that we know of contains the commit.
    """

    name: str
    url: str
    has_commit: bool


def clean_url(url: str, base: Path | None = None) -> str | None:
    """A remote's URL without password or token; None when it is of no kind that we fetch from.

    Args:
        url: as git knows it, `insteadOf` applied.
        base: what a relative path is relative to; None: relative paths are of no kind.
    """
    if url.startswith("-") or re.match(r"[A-Za-z0-9+.-]*::", url) or any(ord(char) < 32 for char in url):
        return None
    if "://" in url:
        return _clean_address(url)
    if ":" in url.partition("/")[0]:
        return url
    path = Path(url) if base is None else base / url
    return os.path.normpath(path) if path.is_absolute() else None


def choose_remote(repository: Repository, commit: str) -> Remote | None:
    """The remote to fetch a commit from: one that has it before one that has not, then the branch's own, then `origin`.

    Remotes that nobody else could fetch from (other transports) do not count.
    """
    names = repository.git.text("remote").splitlines()
    found = [remote for name in names if (remote := _remote(repository, name, commit))]
    own = _upstream(repository)
    return min(found, default=None, key=lambda one: (not one.has_commit, one.name != own, one.name != "origin"))


def remote_notes(repository: Repository, remote: Remote) -> list[str]:
    """What to know of a remote's address: what the user wrote, if git fetches elsewhere, and that secrets were cut."""
    try:
        written = repository.git.text("config", "--get", f"remote.{remote.name}.url")
        meant = repository.git.text("remote", "get-url", "--", remote.name)
        pushed = repository.git.text("remote", "get-url", "--push", "--", remote.name)
    except GitFailedError:
        return []
    notes: list[str] = []
    if urlsplit(meant).password or (urlsplit(meant).username and urlsplit(meant).scheme != "ssh"):
        notes.append(f"The address of the remote {remote.name!r} holds credentials, which are not stored.")
    if written != meant:
        notes.append(f"The remote {remote.name!r} is written {_shown(written)}; git fetches from {remote.url}.")
    if pushed != meant:
        notes.append(f"The remote {remote.name!r} is pushed to another address, {_shown(pushed)}.")
    return notes


def unreachable_notes(scratch: Git, remote: Remote) -> list[str]:
    """What to know of a remote that a launch will need, and that does not answer us now."""
    try:
        asked = replace(_network(scratch, remote.url), timeout_s=_ANSWER_S)
        asked.run("ls-remote", "--quiet", "--heads", "--", remote.url, "refs/heads/launch-jobs-asks-only")
    except (GitFailedError, Refused) as error:
        return [f"The remote {remote.url} does not answer now, and every launch will need it: {error}"]
    return []


def _shown(url: str) -> str:
    """An address without what may be secret, even of a kind that we do not fetch from."""
    return clean_url(url, Path("/")) or f"{url.partition(':')[0]}:…"


def check_bundle(repository: Repository, commit: str, remote: Remote | None) -> None:
    """Refuse a commit that nobody could rebuild: its history is cut off (a shallow clone), and no remote has any of it.

    Raises:
        CaptureError: it is such a one.
    """
    if repository.shallow and not (remote and _tips(repository, remote.name)):
        raise CaptureError(
            f"commit {commit} in {repository.root} is on no remote, and the clone is shallow",
            do="Run git fetch --unshallow, or push the commit",
        )


def write_bundle(repository: Repository, scratch: Git, commit: str, remote: Remote | None) -> Path:
    """Bundle a commit with all history that the remote does not have (all of it when there is none); return the file.

    Raises:
        CaptureError: the history is cut off (a shallow clone), so that nobody could rebuild it.
    """
    check_bundle(repository, commit, remote)
    known = _tips(repository, remote.name) if remote else []
    bundle = scratch.folder / "commit.bundle"
    scratch.run("update-ref", COMMIT_REF, commit)
    wanted = "\n".join([COMMIT_REF, *(f"^{tip}" for tip in known)]) + "\n"
    try:
        # One thread: the same commits give the same bytes, which the store then keeps once.
        scratch.run(
            "-c", "pack.threads=1", "bundle", "create", "--quiet", str(bundle), "--stdin", stdin=wanted.encode()
        )
    except GitFailedError as error:
        raise CaptureError(f"cannot bundle commit {commit} of {repository.root}: {error}") from error
    return bundle


def fetch_commit(scratch: Git, commit: str, remote: str | None, bundle: Path | None) -> None:
    """Bring a commit's content into a scratch repository.

    Raises:
        Unavailable: the remote does not answer or lets us not in.
        StoreError: what the job's origin names does not have the commit.
        Refused: the remote is of a kind that we do not fetch from.
    """
    if not _HEX.fullmatch(commit):
        raise StoreError(f"the job's commit {commit[:80]!r} is no full commit id")
    if bundle is None:
        _fetch_all(scratch, [commit], remote)
        return
    needed = prerequisites(bundle)
    if needed:
        _fetch_all(scratch, needed, remote)
    unbundle(scratch, commit, bundle)


def unbundle(scratch: Git, commit: str, bundle: Path) -> None:
    """Bring a bundle's commit into a scratch repository that has what it builds on.

    Raises:
        StoreError: it does not give the commit.
    """
    try:
        scratch.run(*_FETCH, str(bundle), f"{COMMIT_REF}:{COMMIT_REF}")
        scratch.run("cat-file", "-e", f"{commit}^{{tree}}")
    except GitFailedError as error:
        raise StoreError(f"the stored bundle does not give commit {commit}: {error}") from error


def prerequisites(bundle: Path) -> list[str]:
    """The commits that a bundle builds on, from its header (git's bundle format, versions 2 and 3).

    Raises:
        StoreError: that is no header of a bundle.
    """
    needed: list[str] = []
    with bundle.open("rb") as lines:
        for line in lines:
            if line == b"\n":
                break
            if line.startswith(b"-"):
                needed.append(line[1:].split()[0].decode("ascii", "replace"))
    if any(not _HEX.fullmatch(commit) for commit in needed):
        raise StoreError("the stored bundle's header is damaged")
    return needed


def fetch_ref(scratch: Git, url: str, ref: str) -> str:
    """Bring the content of a branch, tag or commit of a remote into a scratch repository; return the commit.

    Raises:
        Unavailable: the remote does not answer, or has no such ref.
        Refused: the remote is of a kind that we do not fetch from.
    """
    if _HEX.fullmatch(ref):
        _fetch_all(scratch, [ref], url)
        return ref
    allowed = _allowed(url)
    if ref.startswith("-") or set(ref) & set(":+*? \n"):
        raise Refused(f"{ref!r} is no branch, tag or commit")
    try:
        _network(scratch, allowed).run(*_FETCH, "--depth=1", allowed, f"+{ref}:{COMMIT_REF}")
    except GitFailedError as error:
        raise Unavailable(f"cannot fetch {ref!r} from {allowed}: {error}", do=_ADVICE) from error
    return scratch.text("rev-parse", "--verify", f"{COMMIT_REF}^{{commit}}")


def _fetch_all(scratch: Git, commits: list[str], remote: str | None) -> None:
    if remote is None:
        raise StoreError(f"the job names neither remote nor bundle for commit {commits[0]}")
    url = _allowed(remote)
    network = _network(scratch, url)
    try:
        wanted = [f"{commit}:refs/launch/have/{commit}" for commit in commits]
        try:
            network.run(*_FETCH, "--depth=1", url, *wanted)
        except GitFailedError as error:
            if not any(sign in str(error) for sign in _NOT_BY_ID):
                raise
            network.run(*_FETCH, url, "+refs/*:refs/launch/all/*")
    except GitFailedError as error:
        raise Unavailable(f"cannot fetch from {url}: {error}", do=_ADVICE) from error
    for commit in commits:
        _have(scratch, commit, url)


def _have(scratch: Git, commit: str, url: str) -> None:
    try:
        scratch.run("update-ref", f"refs/launch/have/{commit}", f"{commit}^{{commit}}")
    except GitFailedError as error:
        raise StoreError(
            f"{url} has no commit {commit} any more", do="Push it again, or capture the job anew"
        ) from error


def _network(scratch: Git, url: str) -> Git:
    """Fetching goes with the user's proxies, certificates and credential helpers, and the operator's account."""
    secrets = account_environment() if urlsplit(url).scheme in {"http", "https"} else {}
    way = secrets | way_to(url, secrets)
    return replace(scratch, user=True, secrets=way, timeout_s=_FETCH_S, largest_bytes=LARGEST_FETCH_BYTES)


def _allowed(url: str) -> str:
    cleaned = clean_url(url)
    if cleaned is None:
        raise Refused(f"{url!r} is no git remote to fetch from", do=f"Use one of {', '.join(TRANSPORTS)}, or a path")
    allowed_remote(cleaned)
    return cleaned


def _clean_address(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in TRANSPORTS:
        return None
    user, _, host = parts.netloc.rpartition("@")
    if host.startswith("-") or user.startswith("-"):
        return None
    name = user.partition(":")[0] if parts.scheme == "ssh" else ""
    return urlunsplit((parts.scheme, f"{name}@{host}" if name else host, parts.path, "", ""))


def _remote(repository: Repository, name: str, commit: str) -> Remote | None:
    try:
        url = clean_url(repository.git.text("remote", "get-url", "--", name), repository.root)
    except GitFailedError:
        return None  # listed in the configuration, but without an address
    if url is None or not is_allowed(url):
        return None
    holding = repository.git.text("for-each-ref", "--count=1", f"--contains={commit}", f"refs/remotes/{name}/")
    return Remote(name, url, bool(holding))


def _upstream(repository: Repository) -> str:
    try:
        branch = repository.git.text("symbolic-ref", "--quiet", "--short", "HEAD")
        return repository.git.text("config", "--get", f"branch.{branch}.remote")
    except GitFailedError:
        return ""  # no branch is checked out, or it follows none


def _tips(repository: Repository, remote: str) -> list[str]:
    listed = repository.git.text("for-each-ref", "--format=%(objectname)", f"refs/remotes/{remote}/")
    return sorted(set(listed.split()))
