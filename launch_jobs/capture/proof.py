"""The capture proof: rebuild a captured tree in an empty folder from what the job store holds, and compare."""

from __future__ import annotations

import tempfile
from pathlib import Path

from launch_jobs.capture.git import GitFailedError
from launch_jobs.capture.tree import Blobs, Snapshot, scan_tree
from launch_jobs.errors import CaptureError, LaunchError
from launch_jobs.job import TreeEntry, tree_digest

_LISTED = 10


def prove(snapshot: Snapshot, store: Blobs) -> None:
    """Show that a snapshot can be checked out: byte for byte, names, modes and links.

    It needs no network: of a git source the commits that a remote is said to have come from the user's repository.
    Whether that remote still answers is for the launch to find out.

    Raises:
        CaptureError: another tree came out, or none; names the files.
    """
    with tempfile.TemporaryDirectory(prefix="launch-jobs-proof-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        try:
            snapshot.content.rebuild(snapshot.source, snapshot.origin, store, tree)
        except (GitFailedError, LaunchError, OSError, ValueError) as error:
            raise CaptureError(f"the source of {snapshot.root} was captured, but cannot be rebuilt: {error}") from error
        rebuilt = scan_tree(tree)
    if tree_digest(list(rebuilt)) != snapshot.source.tree:
        different = _different(snapshot.files, rebuilt)
        raise CaptureError(
            f"the source of {snapshot.root} was captured, but comes out different: {different}",
            do="Please report this; until it is mended, capture the folder without git",
        )


def _different(captured: tuple[TreeEntry, ...], rebuilt: tuple[TreeEntry, ...]) -> str:
    """The paths that are not the same, each with what is wrong."""
    before, after = ({entry.path: entry for entry in entries} for entries in (captured, rebuilt))
    said = [
        f"{path!r} {_wrong(before.get(path), after.get(path))}"
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]
    more = f" and {len(said) - _LISTED} more" if len(said) > _LISTED else ""
    return ", ".join(said[:_LISTED]) + more


def _wrong(before: TreeEntry | None, after: TreeEntry | None) -> str:
    if before is None:
        return "(extra)"
    if after is None:
        return "(missing)"
    return "(content)" if before.digest != after.digest else "(mode)"
